"""Masks on disk: which mask belongs to which frame, and whether they can be used.

The path determines the reader (``mask_readers.py``). All readers return the same kind of image, and
the checks of these are here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from grainspec.clip.facts import ClipFacts
from grainspec.clip.mask_scaling import resize_mask
from grainspec.diagnostics import GrainError, fail
from grainspec.diagnostics.diagnostic import Diagnostic
from grainspec.model.expressions import MaskFiles
from grainspec.regions.claims import require_size
from grainspec.regions.mask_numbers import mask_numbers
from grainspec.regions.mask_readers import MaskReader, open_reader

if TYPE_CHECKING:
    from PIL import Image


def open_masks(
    source: MaskFiles,
    base: Path,
    facts: ClipFacts,
    frames: Sequence[int],
    *,
    clip: Path | None = None,
    report: list[Diagnostic] | None = None,
    missing: set[int] | None = None,
) -> Iterator[Image.Image]:
    """Read the masks of ``frames``, in order, as 8-bit grey images: 255 inside the region.

    The images have the clip's size. Relative paths start at ``base``; ``clip`` is the clip itself,
    for its frame rate. Warnings are appended to ``report``, and frames without a mask where that is
    allowed to ``missing``. Raises GrainError: G304 if there are no
    masks, G322 if their frame numbers are ambiguous, G323 for a format that is not read, G205 for
    an option that does not apply to this kind of file, G305 for a missing mask, G326 if a video
    does not match the clip, G308 for a mask that cannot be read, G306 for one of another size, and
    at the end G320 for shades or objects that are ambiguous, and G307 if all masks are empty.
    """
    report = [] if report is None else report
    place = base / source.path
    reader = open_reader(source, base, facts)
    numbers = mask_numbers(source, reader, facts, frames, clip, report)
    if missing is not None:
        pairs = zip(frames, numbers, strict=True)
        missing |= {frame for frame, number in pairs if number is None}
    size = facts.width, facts.height
    images = reader.read([number for number in numbers if number is not None])
    marked = False
    for number in numbers:
        image = _empty(size) if number is None else next(images)
        if number is not None and source.invert:
            from PIL import ImageOps

            image = ImageOps.invert(image)
        if image.size != size:
            require_size(source, reader.title(number or 0), image.size, size)
            image = resize_mask(image, size, source.resize)
        marked = marked or cast(tuple[int, int], image.getextrema())[1] == 255
        yield image
    report += reader.findings()
    if not marked:
        raise fail("G307", *_nothing_marked(source, reader, place), source.span)


def check_masks(
    source: MaskFiles,
    base: Path,
    facts: ClipFacts,
    frames: Sequence[int],
    *,
    clip: Path | None = None,
) -> list[Diagnostic]:
    """Check the masks of ``frames``, without keeping them; errors and warnings."""
    report: list[Diagnostic] = []
    try:
        for _ in open_masks(source, base, facts, frames, clip=clip, report=report):
            pass
    except GrainError as error:
        return [*error.diagnostics]
    return report


def _empty(size: tuple[int, int]) -> Image.Image:
    from PIL import Image

    return Image.new("L", size)


def _nothing_marked(source: MaskFiles, reader: MaskReader, place: Path) -> tuple[str, str]:
    """The message and the cure if all masks are empty."""
    sought = f"index {source.index}" if source.index is not None else source.colour
    if source.label is not None:
        sought = f"label {source.label}"
    if sought:
        if source.invert:
            message = f"the region is empty: all pixels of the masks in {place} have {sought}"
        else:
            message = f"the region is empty: no pixel of the masks in {place} has {sought}"
        return message, reader.known() or "Check which value the object has in the masks."
    if source.alpha:
        shade = "opaque" if source.invert else "transparent"
        return f"the region is empty: the masks in {place} are all {shade}", "Check the masks."
    shade = "white" if source.invert else "black"
    cure = (
        "The region is where masks are white, or black with `masks(…, invert)`. "
        "`threshold`, `index` and `colour` select other pixels."
    )
    return f"the region is empty: the masks in {place} are all {shade}", cure
