"""Masks that were painted on the page, stored beside the spec."""

from __future__ import annotations

import base64
import binascii
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from grainspec.clip.facts import ClipFacts
from grainspec.clip.images import unreadable
from grainspec.diagnostics import fail, visible
from grainspec.limits import MAX_PIXELS
from grainspec.model.names import Name
from grainspec.regions.tracked.labels import image_name
from grainspec.text.quote import quoted
from grainspec.whole_file import whole_file
from grainspec_runtime.studio.limits import MAX_PICTURE_BYTES
from grainspec_runtime.studio.readable import Readable

PAINTED = "masks/painted"
