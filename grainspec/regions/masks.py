"""Mask images on disk: which file belongs to which frame, and whether they can be used."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from grainspec.clip import IMAGE_SUFFIXES, ClipFacts, frame_number
from grainspec.diagnostics import GrainError, fail
from grainspec.diagnostics.diagnostic import Diagnostic
from grainspec.regions.expressions import MaskFiles

if TYPE_CHECKING:
    from PIL import Image


def mask_files(source: MaskFiles, base: Path) -> dict[int, Path]:
    """The mask files of a source by the frame they belong to.

    Relative paths start at ``base``. Raises GrainError: G304 nothing there, or two files for one
    frame.
    """
    place = base / source.path
    if any(sign in source.path for sign in "*?["):
        paths = [Path(name) for name in glob.glob(str(place), recursive=True)]
    elif place.is_dir():
        paths = list(place.iterdir())
    else:
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


def open_masks(
    source: MaskFiles, base: Path, facts: ClipFacts, frames: Sequence[int]
) -> Iterator[Image.Image]:
    """The masks of ``frames``, in order, as 8-bit grey images of the clip's size.

    Raises GrainError at the first that is missing (G305), no image (G308) or of another size
    (G306), and at the end (G307) if none of them marks a single pixel.
    """
    from PIL import Image, UnidentifiedImageError

    files = mask_files(source, base)
    marked = False
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
                grey = opened.convert("L")
        except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
            message = f"the mask {path} is no image that can be read"
            raise fail("G308", message, "Save it again as PNG.", source.span) from error
        darkest, brightest = grey.getextrema()
        marked = marked or (darkest < 128 if source.invert else brightest >= 128)  # type: ignore[operator]
        yield grey
    if not marked:
        shade = "white" if source.invert else "black"
        message = f"the masks in {base / source.path} are all {shade}: the region is empty"
        cure = "The region is where masks are white, or black with `masks(…, invert)`."
        raise fail("G307", message, cure, source.span)


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
