"""Masks that were painted on the page, stored beside the spec.

Each stroke has a file of its own, so that undo finds the mask before it: no file is replaced.
"""

from __future__ import annotations

import base64
import binascii
import threading
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin
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

PAINTED = ("masks", "painted")
"""The folders, below that of the spec, for what is painted."""
_SOFTWARE = "grain studio"
_one = threading.Lock()
"""Held while a free name is chosen and taken."""


def store_mask(
    readable: Readable, spec: str, region: str, frame: int, png: str, facts: ClipFacts
) -> dict[str, str]:
    """Write a painted mask, an 8-bit grey PNG of the clip's size: 255 inside the region.

    ``spec`` is the name of the spec's file without its suffix, ``png`` the picture in base64: what
    is bright and opaque is inside. Returns its path in the spec's folder, and the expression that
    reads it.

    Raises GrainError as :func:`painted_mask` and :func:`stored` do.
    """
    mask = painted_mask(region, frame, png, facts)
    folder = readable.folder.joinpath(*PAINTED, spec, region)
    first = image_name(frame).removesuffix(".png")
    return stored(readable, folder, first, ".png", lambda path: save_mask(mask, path))


def painted_mask(region: str, frame: int, png: str, facts: ClipFacts) -> Image.Image:
    """A painted mask, mode L with 0 and 255, of the clip's size.

    Raises GrainError: G724 for a name, a frame or a picture that cannot be used, G725 for one that
    is too large.
    """
    try:
        region = TypeAdapter(Name).validate_python(region)
    except ValidationError as error:
        message = f"invalid name `{visible(region)[:80]}` of a region"
        raise fail("G724", message, "Use letters, digits and `_`.") from error
    if frame >= facts.frames:
        raise fail("G724", f"the clip has no frame {frame}", "Paint on a frame of the clip.")
    return _mask(png).resize((facts.width, facts.height), Image.Resampling.NEAREST)


def stored(
    readable: Readable, folder: Path, name: str, suffix: str, write: Callable[[Path], None]
) -> dict[str, str]:
    """Write a file or folder under a free name: `NAME.png`, `NAME-2.png`, …

    ``write`` is called with a path that does not exist, and becomes the file or folder. Returns the
    path in the spec's folder, and the expression that reads it.

    Raises GrainError: G723 if the folder leads elsewhere, G310 if it cannot be written.
    """
    _require_inside(readable.folder, folder / name)
    path = folder / f"{name}{suffix}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _one:
            number = 2
            while path.exists() or path.is_symlink():
                path, number = folder / f"{name}-{number}{suffix}", number + 1
            write(path)
    except OSError as error:
        message = f"cannot write {path}: {error.strerror or error}"
        raise fail("G310", message, "Make the folder writable.") from error
    written = path.relative_to(readable.folder).as_posix()
    return {"path": written, "text": f"masks({quoted(written)})"}


def save_mask(mask: Image.Image, path: Path) -> None:
    """Write a mask as PNG, with a note of who wrote it; raises OSError."""
    note = PngImagePlugin.PngInfo()
    note.add_text("Software", _SOFTWARE)
    with whole_file(path) as partial:
        mask.save(partial, format="PNG", pnginfo=note)


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
