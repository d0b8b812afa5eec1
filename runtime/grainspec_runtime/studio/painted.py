"""Masks that were painted on the page, stored beside the spec."""

from __future__ import annotations

import base64
import binascii
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from grainspec.clip.facts import ClipFacts
from grainspec.clip.images import unreadable
from grainspec.diagnostics import GrainError, fail, visible
from grainspec.limits import MAX_PIXELS
from grainspec.model.names import Name
from grainspec.regions.tracked.labels import image_name
from grainspec.text.kinds import quoted
from grainspec.whole_file import whole_file
from grainspec_runtime.studio.limits import MAX_PICTURE_BYTES
from grainspec_runtime.studio.readable import Readable

_PAINTED = ("masks", "painted")


def store_mask(
    readable: Readable, spec: str, region: str, frame: int, png: str, facts: ClipFacts
) -> dict[str, str]:
    """Write a painted mask, an 8-bit grey PNG of the clip's size: 255 inside the region.

    ``spec`` is the name of the spec's file without its suffix, ``png`` the picture in base64: what
    is bright and opaque is inside. Returns its path in the spec's folder, and the expression that
    reads it.

    Raises GrainError: G724 for a name, a frame or a picture that cannot be used, G725 for one that
    is too large, G723 if the folder leads elsewhere, G310 if it cannot be written.
    """
    try:
        region = TypeAdapter(Name).validate_python(region)
    except ValidationError as error:
        message = f"invalid name `{visible(region)[:80]}` of a region"
        raise fail("G724", message, "Use letters, digits and `_`.") from error
    if frame >= facts.frames:
        raise fail("G724", f"the clip has no frame {frame}", "Paint on a frame of the clip.")
    mask = _mask(png).resize((facts.width, facts.height), Image.Resampling.NEAREST)
    path = readable.folder.joinpath(*_PAINTED, spec, region, image_name(frame))
    _require_inside(readable.folder, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            mask.save(partial, format="PNG")
    except OSError as error:
        message = f"cannot write {path}: {error.strerror or error}"
        raise fail("G310", message, "Make the folder writable.") from error
    name = path.relative_to(readable.folder).as_posix()
    return {"path": name, "text": f"masks({quoted(name)})"}


def _mask(png: str) -> Image.Image:
    """Decode a picture to a mask, mode L with 0 and 255; its pixels are counted before that."""
    try:
        content = base64.b64decode(png, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _unusable("it is not base64") from error
    if len(content) > MAX_PICTURE_BYTES:
        message = f"the picture is larger than {MAX_PICTURE_BYTES / 1e6:.0f} MB"
        raise fail("G725", message, "Paint on a smaller picture.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(BytesIO(content), formats=("PNG",))
        if image.width * image.height > MAX_PIXELS:
            raise _unusable(f"{image.width}x{image.height} pixels are too many")
        grey_HW2 = np.asarray(image.convert("LA"))
    except unreadable() as error:
        raise _unusable("it cannot be decoded") from error
    inside_HW = (grey_HW2[..., 0] >= 128) & (grey_HW2[..., 1] >= 128)
    if not inside_HW.any():
        raise _unusable("nothing is painted on it")
    return Image.fromarray(inside_HW.astype(np.uint8) * 255)


def _require_inside(folder: Path, path: Path) -> None:
    """Raise GrainError (G723) if a link leads out of the folder that is written to."""
    if not path.parent.resolve().is_relative_to(folder):
        message = f"{path.parent} is not below the folder of the spec"
        raise fail("G723", message, "Remove the link.")


def _unusable(reason: str) -> GrainError:
    return fail("G724", f"the picture of the mask cannot be used: {reason}", "Send a PNG.")
