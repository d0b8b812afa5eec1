"""Read image files as a viewer shows them: upright, and on a colour where they are transparent."""

from __future__ import annotations

import struct
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from grainspec.clip.profiles import in_srgb
from grainspec.limits import MAX_PIXELS
from grainspec.regular_file import read_bytes, require_regular

if TYPE_CHECKING:
    from PIL import Image

_ORIENTATION = 0x0112
"""The EXIF tag that says how a viewer rotates and mirrors an image: 1 to 8, 1 being not at all."""

_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
"""What a file may be, whatever its name says: for some others, Pillow would run Ghostscript.

Phones' MPO is read as JPEG.
"""
_LARGEST = 1 << 29
"""Bytes of the largest file that is searched for a tag behind its pixels."""


class TooManyPixels(ValueError):
    """An image has more than ``MAX_PIXELS``."""


def unreadable() -> tuple[type[Exception], ...]:
    """What Pillow raises for broken images."""
    from PIL import Image

    broken = (OSError, EOFError, SyntaxError, ValueError, OverflowError, struct.error)
    inside = (TypeError, KeyError, IndexError, ZeroDivisionError)  # of Pillow's own readers
    return (*broken, *inside, Image.DecompressionBombError)


def open_image(path: Path) -> Image.Image:
    """Open an image file without decoding it; raise what :func:`unreadable` lists."""
    from PIL import Image

    require_regular(path)
    with _quiet:
        image = Image.open(path, formats=_FORMATS)
    if image.format == "TIFF":
        image.filename = ""  # with it, Pillow maps the pixels, and turns them wrongly by EXIF
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise TooManyPixels(f"{image.width}x{image.height} pixels are too many")
    return image


def is_still(image: Image.Image) -> bool:
    """Whether a file has one picture, not several as an animation or a document of pages has."""
    with _quiet:
        return getattr(image, "n_frames", 1) == 1


def shown_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of an image as a viewer shows it, without decoding it if possible."""
    sideways = orientation(image) >= 5
    return (image.height, image.width) if sideways else image.size


def upright(image: Image.Image) -> Image.Image:
    """The image as a viewer shows it: rotated and mirrored as its EXIF orientation says."""
    orientation(image)
    with _quiet:
        image.load()  # Pillow rotates TIFF files by itself, and then removes their tag
    turn = _turns().get(orientation(image))
    return image if turn is None else image.transpose(turn)


def orientation(image: Image.Image) -> int:
    """The EXIF orientation of an image, 1 to 8; 1 if it has none or a wrong one."""
    if image.format == "TIFF":
        with _quiet:
            image.load()
    elif image.format == "PNG" and "exif" not in image.info and not _tagged_behind(image):
        return 1  # without this, Pillow decodes a PNG to look for a tag behind its pixels
    try:
        with _quiet:
            tag = image.getexif().get(_ORIENTATION, 1)
    except unreadable():  # a broken tag: viewers ignore it
        return 1
    return tag if isinstance(tag, int) and 1 <= tag <= 8 else 1


def composited(image: Image.Image, background: str | None) -> Image.Image:
    """The image in sRGB, on ``background`` (``#rrggbb``, black by default) where transparent."""
    from PIL import Image

    image = in_srgb(image)
    if image.has_transparency_data:
        below = Image.new("RGBA", image.size, background or "#000000")
        return Image.alpha_composite(below, image.convert("RGBA")).convert("RGB")
    return _eight_bits(image).convert("RGB")


def transparency(image: Image.Image) -> float:
    """The share of an image's area that is transparent, partly transparent pixels in part."""
    if not image.has_transparency_data:
        return 0.0
    histogram = image.convert("RGBA").getchannel("A").histogram()
    opaque = sum(level * count for level, count in enumerate(histogram)) / 255
    return 1 - opaque / (image.width * image.height)


class _Quiet:
    """A context manager that drops warnings, as long as any thread is inside.

    Filters of warnings belong to the process: the first thread saves them, the last one restores.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._saved.__exit__(None, None, None)


_quiet = _Quiet()
"""For Pillow's warnings about odd tags: what cannot be read raises."""


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits; Pillow's own conversion would clip it."""
    if not image.mode.startswith("I;16"):
        return image
    import numpy as np
    from PIL import Image

    return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))


def _tagged_behind(image: Image.Image) -> bool:
    """Whether the file of a PNG has an EXIF tag anywhere."""
    name = getattr(image, "filename", "")
    try:
        return b"eXIf" in read_bytes(Path(name), _LARGEST) if name else False
    except (OSError, ValueError):
        return False


def _turns() -> dict[int, Image.Transpose]:
    from PIL.Image import Transpose

    return {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
