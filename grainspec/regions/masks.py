"""Mask images on disk: which file belongs to which frame, and whether they can be used."""

from __future__ import annotations

import glob
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from grainspec.clip import IMAGE_SUFFIXES, ClipFacts, frame_number
from grainspec.diagnostics import GrainError, fail
from grainspec.diagnostics.diagnostic import Diagnostic
from grainspec.regions.expressions import MaskFiles

if TYPE_CHECKING:
    from PIL import Image

_UNREADABLE = (OSError, EOFError, SyntaxError, ValueError, OverflowError, struct.error)
"""What Pillow raises for broken images."""


def mask_files(source: MaskFiles, base: Path) -> dict[int, Path]:
    """The mask files of a source by the frame they belong to.

    Relative paths start at ``base``. Raises GrainError: G304 nothing there, or two files for one
    frame.
    """
    place = base / source.path
    try:
        paths = _paths(source.path, base)
    except (OSError, ValueError) as error:  # such as a name longer than any file's
        message = f"{place} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise fail("G304", message, "Check the path.", source.span) from error
    if paths is None:
        message = f"there is no folder of masks {place}"
        raise fail("G304", message, "Name a folder, or a glob such as `masks/*.png`.", source.span)
    images = [path for path in sorted(paths) if path.suffix.lower() in IMAGE_SUFFIXES]
    found: dict[int, Path] = {}
    for path in images:
        number = frame_number(path)
        if number is None:
            continue
        if number in found:
            message = f"{found[number].name} and {path.name} are both masks for frame {number}"
            cure = "A mask's frame is the last number in its name; narrow the glob."
            raise fail("G304", message, cure, source.span)
        found[number] = path
    if not found:
        message = f"{place} has no mask images whose names end in a frame's number"
        raise fail("G304", message, "Masks look like 00000.png, 00001.png, ….", source.span)
    return found


def _paths(written: str, base: Path) -> list[Path] | None:
    """What a path of masks names; what is there under that very name goes before any glob."""
    place = base / written
    if place.is_dir():
        return list(place.iterdir())
    if place.is_file():
        return [place]
    if not any(sign in written for sign in "*?["):
        return None
    pattern = Path(glob.escape(str(base))) / written
    return [Path(name) for name in glob.glob(str(pattern), recursive=True)]


def open_masks(
    source: MaskFiles, base: Path, facts: ClipFacts, frames: Sequence[int]
) -> Iterator[Image.Image]:
    """The masks of ``frames``, in order, as 8-bit grey images of the clip's size.

    Raises GrainError at the first that is missing (G305), no image or not plainly black and white
    (G308) or of another size (G306), and at the end if none of them marks a single pixel (G307) or
    they hold 0 and 1 (G308), which says nothing with 255 for white.
    """
    from PIL import Image

    files = mask_files(source, base)
    marked, largest = False, 0
    for frame in frames:
        path = files.get(frame)
        if path is None:
            message = f"there is no mask for frame {frame} in {base / source.path}"
            raise fail("G305", message, _frames_there(sorted(files), frames), source.span)
        try:
            with Image.open(path) as opened:
                if opened.size != (facts.width, facts.height):
                    wide, high = opened.size
                    message = (
                        f"the mask {path} is {wide}x{high}, the video {facts.width}x{facts.height}"
                    )
                    cure = "Masks are drawn on the source frames, before any crop or resize."
                    raise fail("G306", message, cure, source.span)
                grey = _grey(opened, path, source)
        except (*_UNREADABLE, Image.DecompressionBombError) as error:
            message = f"the mask {path} is no image that can be read"
            raise fail("G308", message, "Save it again as PNG.", source.span) from error
        darkest, brightest = cast(tuple[int, int], grey.getextrema())
        marked = marked or (darkest < 128 if source.invert else brightest >= 128)
        largest = max(largest, brightest)
        yield grey
    if largest == 1:
        message = f"the masks in {base / source.path} hold 0 and 1, which is black and almost black"
        raise fail("G308", message, "Save them with 0 and 255.", source.span)
    if not marked:
        shade = "white" if source.invert else "black"
        message = f"the masks in {base / source.path} are all {shade}: the region is empty"
        cure = "The region is where masks are white, or black with `masks(…, invert)`."
        raise fail("G307", message, cure, source.span)


def _grey(image: Image.Image, path: Path, source: MaskFiles) -> Image.Image:
    """A mask in 8 bits, white from half of its own range on; G308 if it has no such range."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        import numpy as np

        values = np.asarray(image)
        halves = np.where(values >= 1 << 15, 255, values.clip(max=127)).astype(np.uint8)
        return Image.fromarray(halves)
    if image.mode in {"I", "F"}:
        message = f"the mask {path} has numbers without a known white"
        raise fail("G308", message, "Save it with 8 bits, black and white.", source.span)
    if image.has_transparency_data:
        low, high = cast(tuple[int, int], image.convert("RGBA").getchannel("A").getextrema())
        if low != high:
            message = f"the mask {path} is transparent in places: which part is the region?"
            cure = "Save it as black and white without transparency."
            raise fail("G308", message, cure, source.span)
    return image.convert("L")


def _frames_there(there: Sequence[int], wanted: Sequence[int]) -> str:
    missing = len(set(wanted) - set(there))
    if set(range(len(wanted))) <= set(there):
        return (
            f"Masks are numbered by source frame: this clip wants {wanted[0]} to {wanted[-1]}, "
            f"and the files run from {there[0]} to {there[-1]}."
        )
    run = f"the files run from {there[0]} to {there[-1]}"
    return f"{missing} of {len(wanted)} frames have no mask; {run}."


def check_masks(
    source: MaskFiles, base: Path, facts: ClipFacts, frames: Sequence[int]
) -> list[Diagnostic]:
    """What is wrong with the masks of ``frames``, without keeping them."""
    try:
        for _ in open_masks(source, base, facts, frames):
            pass
    except GrainError as error:
        return list(error.diagnostics)
    return []
