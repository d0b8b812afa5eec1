"""Repaired images that show another object than the prompts of a region do now."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from grainspec.regions.tracked.manifest import SourceRecord


def pixels_hash(labels_HW: npt.NDArray[np.uint8], numbers: Sequence[int]) -> str:
    """The SHA-256 of which pixels of an image, uint8 ``[H, W]``, are of some objects."""
    return hashlib.sha256(np.packbits(np.isin(labels_HW, numbers)).tobytes()).hexdigest()


def is_outdated(record: SourceRecord, frame: int, labels_HW: npt.NDArray[np.uint8]) -> bool:
    """Whether an image, uint8 ``[H, W]``, has what earlier prompts of an expression showed.

    If its objects were painted anew since, it has not.
    """
    known = [one.sha256 for one in record.outdated if one.frame == frame]
    return bool(known) and pixels_hash(labels_HW, record.numbers) in known
