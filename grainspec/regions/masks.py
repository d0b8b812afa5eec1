"""Masks on disk: which mask belongs to which frame, and whether they can be used.

The path determines the reader: ``mask_images.py``, ``mask_video.py``, ``mask_arrays.py`` or
``mask_coco.py``. All readers return the same kind of image, and the checks of these are here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from grainspec.clip.crop import resize_mask
from grainspec.clip.facts import ClipFacts
from grainspec.diagnostics import GrainError, fail
from grainspec.diagnostics.diagnostic import Diagnostic
from grainspec.model.expressions import MaskFiles

if TYPE_CHECKING:
    from PIL import Image

VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".mov", ".avi", ".webm"})
ARRAY_SUFFIXES = frozenset({".npy", ".npz"})
COCO_SUFFIXES = frozenset({".json"})


class MaskReader(Protocol):
    """Reader of one kind of mask file; masks are identified by their numbers."""

    @property
    def numbers(self) -> Sequence[int]:
        """The numbers of the existing masks, in ascending order."""

    def title(self, number: int) -> str:
        """The name of a mask in messages."""

    def read(self, numbers: Sequence[int]) -> Iterator[Image.Image]:
        """Read the masks with these ascending numbers, as 8-bit grey images of 0 and 255.

        They keep the size of the files. Raises GrainError (G308) for masks that cannot be read.
        """


def open_masks(
    source: MaskFiles, base: Path, facts: ClipFacts, frames: Sequence[int]
) -> Iterator[Image.Image]:
    """Read the masks of ``frames``, in order, as 8-bit grey images: 255 inside the region.

    The images have the clip's size. Relative paths start at ``base``. Raises GrainError: G304 if
    there are no masks, G205 for an option that does not apply to this kind of file, G305 for a
    missing mask, G308 for one that cannot be read, G306 for one of another size, and at the end
    G307 if all masks are empty.
    """
    place = base / source.path
    reader = _reader(source, base, facts)
    numbers = _numbers(source, reader.numbers, frames, place)
    size = facts.width, facts.height
    marked = False
    for picture, number in zip(reader.read(numbers), numbers, strict=True):
        image = picture
        if source.invert:
            from PIL import ImageOps

            image = ImageOps.invert(image)
        if image.size != size:
            if not source.scaled:
                wide, high = image.size
                message = f"{reader.title(number)} is {wide}x{high}, the video {size[0]}x{size[1]}"
                cure = (
                    "Masks must have the size of the source frames, before `crop` and `size`. "
                    "`masks(…, scaled)` scales them."
                )
                raise fail("G306", message, cure, source.span)
            image = resize_mask(image, size, source.resize)
        marked = marked or cast(tuple[int, int], image.getextrema())[1] == 255
        yield image
    if not marked:
        raise fail("G307", *_nothing_marked(source, place), source.span)


def check_masks(
    source: MaskFiles, base: Path, facts: ClipFacts, frames: Sequence[int]
) -> list[Diagnostic]:
    """Check the masks of ``frames``, without keeping them."""
    try:
        for _ in open_masks(source, base, facts, frames):
            pass
    except GrainError as error:
        return list(error.diagnostics)
    return []


def _reader(source: MaskFiles, base: Path, facts: ClipFacts) -> MaskReader:
    """The reader for a path; NumPy is imported only by readers that need it."""
    place = base / source.path
    suffix = place.suffix.lower()
    try:
        is_folder, is_file = place.is_dir(), place.is_file()
    except (OSError, ValueError):  # such as a name that is too long
        is_folder = is_file = False
    if is_folder or suffix not in VIDEO_SUFFIXES | ARRAY_SUFFIXES | COCO_SUFFIXES:
        from grainspec.regions.mask_images import ImageMasks

        _refuse_options(source, "images", ("threshold", "index", "colour"))
        return ImageMasks(source, base)
    if not is_file:
        raise fail("G304", f"the mask file {place} does not exist", "Check the path.", source.span)
    if suffix in VIDEO_SUFFIXES:
        from grainspec.regions.mask_video import VideoMasks

        _refuse_options(source, "a video", ("threshold", "index", "colour"))
        return VideoMasks(source, place)
    if suffix in COCO_SUFFIXES:
        from grainspec.regions.mask_coco import CocoMasks

        _refuse_options(source, "COCO JSON", ("index",))
        return CocoMasks(source, place, (facts.height, facts.width))
    from grainspec.regions.mask_arrays import ArrayMasks

    member = ("array",) if suffix == ".npz" else ()
    _refuse_options(source, f"an `{suffix}` file", ("threshold", "index", *member))
    return ArrayMasks(source, place)


def _refuse_options(source: MaskFiles, kind: str, allowed: Sequence[str]) -> None:
    for option in ("threshold", "index", "colour", "array"):
        if option in allowed or getattr(source, option) == MaskFiles.model_fields[option].default:
            continue
        known = ", ".join(f"`{name}`" for name in allowed)
        message = f"`{option}` does not apply to masks in {kind}"
        raise fail("G205", message, f"Options for {kind}: {known}.", source.span_of(option))


def _numbers(
    source: MaskFiles, there: Sequence[int], frames: Sequence[int], place: Path
) -> list[int]:
    """The number of each frame's mask; raise GrainError (G305) for the first frame without one."""
    if source.in_order:
        there = [number for number in there if number >= source.first]
        missing = next((frame for frame in frames if frame >= len(there)), None)
        if missing is None:
            return [there[frame] for frame in frames]
        cure = f"`in_order` found {len(there)} masks, one per source frame from frame 0."
    else:
        known = set(there)
        missing = next((frame for frame in frames if frame + source.first not in known), None)
        if missing is None:
            return [frame + source.first for frame in frames]
        cure = _masks_there(source, there, frames)
    message = f"frame {missing} has no mask in {place}"
    raise fail("G305", message, cure, source.span)


def _masks_there(source: MaskFiles, there: Sequence[int], frames: Sequence[int]) -> str:
    """Say which masks exist, and the option that fits them to the frames, if there is one."""
    known = set(there)
    run = f"The masks are numbered {there[0]} to {there[-1]}"
    first = there[0] - frames[0]
    if all(frame + first in known for frame in frames):
        clip = f"the edited source frames {frames[0]} to {frames[-1]}"
        return f"{run}, {clip}. If they belong together, write `from {first}`."
    missing = sum(frame + source.first not in known for frame in frames)
    in_order = len(there) > frames[-1] and there[-1] - there[0] >= len(there)
    option = " If they follow each other frame by frame, write `in_order`." if in_order else ""
    return f"{run}; {missing} of {len(frames)} frames have no mask.{option}"


def _nothing_marked(source: MaskFiles, place: Path) -> tuple[str, str]:
    """The message and the cure if all masks are empty."""
    sought = f"index {source.index}" if source.index is not None else source.colour
    if sought:
        if source.invert:
            message = f"the region is empty: all pixels of the masks in {place} have {sought}"
        else:
            message = f"the region is empty: no pixel of the masks in {place} has {sought}"
        return message, "Check which value the object has in the masks."
    shade = "white" if source.invert else "black"
    cure = (
        "The region is where masks are white, or black with `masks(…, invert)`. "
        "`threshold`, `index` and `colour` select other pixels."
    )
    return f"the region is empty: the masks in {place} are all {shade}", cure
