"""Masks on disk: which of them belongs to which frame, and whether they can be used.

What a path names tells how it is read. Each kind of file has a reader of its own, in
``mask_images.py``, ``mask_video.py``, ``mask_arrays.py`` and ``mask_coco.py``; all give the same
pictures, and what is checked of those is checked here, once.
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
    """Masks of one kind, each known by its number."""

    @property
    def numbers(self) -> Sequence[int]:
        """The numbers of the masks that there are, rising."""

    def title(self, number: int) -> str:
        """What messages call a mask."""

    def read(self, numbers: Sequence[int]) -> Iterator[Image.Image]:
        """The masks with these numbers, which rise, as 8-bit grey images of 0 and 255.

        They have the size that they were saved with. Raises GrainError (G308) for what cannot be
        read.
        """


def open_masks(
    source: MaskFiles, base: Path, facts: ClipFacts, frames: Sequence[int]
) -> Iterator[Image.Image]:
    """The region on ``frames``, in order, as 8-bit grey images of the clip's size: 255 where it is.

    Relative paths start at ``base``. Raises
    GrainError: G304 nothing there, G205 an option that means nothing for this kind, G305 one is
    missing, G308 one cannot be read, G306 one has another size, and at the end G307 if none of them
    marks a single pixel.
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
                    "Masks are drawn on the source frames, before any crop or resize; "
                    "`scaled` takes them at another size."
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
    """What is wrong with the masks of ``frames``, without keeping them."""
    try:
        for _ in open_masks(source, base, facts, frames):
            pass
    except GrainError as error:
        return list(error.diagnostics)
    return []


def _reader(source: MaskFiles, base: Path, facts: ClipFacts) -> MaskReader:
    """The reader for what a path names; NumPy is loaded only for those that need it."""
    place = base / source.path
    suffix = place.suffix.lower()
    try:
        is_folder, is_file = place.is_dir(), place.is_file()
    except (OSError, ValueError):  # such as a name longer than any file's
        is_folder = is_file = False
    if is_folder or suffix not in VIDEO_SUFFIXES | ARRAY_SUFFIXES | COCO_SUFFIXES:
        from grainspec.regions.mask_images import ImageMasks

        _refuse_options(source, "images", ("threshold", "index", "colour"))
        return ImageMasks(source, base)
    if not is_file:
        raise fail("G304", f"there is no file of masks {place}", "Check the path.", source.span)
    if suffix in VIDEO_SUFFIXES:
        from grainspec.regions.mask_video import VideoMasks

        _refuse_options(source, "a video", ("threshold", "index", "colour"))
        return VideoMasks(source, place)
    if suffix in COCO_SUFFIXES:
        from grainspec.regions.mask_coco import CocoMasks

        _refuse_options(source, "COCO's JSON", ("index",))
        return CocoMasks(source, place, (facts.height, facts.width))
    from grainspec.regions.mask_arrays import ArrayMasks

    member = ("array",) if suffix == ".npz" else ()
    _refuse_options(source, f"an `{suffix}` file", ("threshold", "index", *member))
    return ArrayMasks(source, place)


def _refuse_options(source: MaskFiles, kind: str, taken: Sequence[str]) -> None:
    for option in ("threshold", "index", "colour", "array"):
        if option in taken or getattr(source, option) == MaskFiles.model_fields[option].default:
            continue
        known = ", ".join(f"`{name}`" for name in taken)
        message = f"`{option}` means nothing for {kind}"
        raise fail("G205", message, f"For {kind} there is {known}.", source.span_of(option))


def _numbers(
    source: MaskFiles, there: Sequence[int], frames: Sequence[int], place: Path
) -> list[int]:
    """The number of each frame's mask; G305 at the first frame that has none."""
    if source.in_order:
        there = [number for number in there if number >= source.first]
        missing = next((frame for frame in frames if frame >= len(there)), None)
        if missing is None:
            return [there[frame] for frame in frames]
        cure = f"In order there are {len(there)} masks, for the source frames from 0 on."
    else:
        known = set(there)
        missing = next((frame for frame in frames if frame + source.first not in known), None)
        if missing is None:
            return [frame + source.first for frame in frames]
        cure = _masks_there(source, there, frames)
    message = f"there is no mask for frame {missing} in {place}"
    raise fail("G305", message, cure, source.span)


def _masks_there(source: MaskFiles, there: Sequence[int], frames: Sequence[int]) -> str:
    """Which masks there are, and the option that would fit them to the frames, if there is one."""
    known = set(there)
    run = f"the masks run from {there[0]} to {there[-1]}"
    first = there[0] - frames[0]
    if all(frame + first in known for frame in frames):
        clip = f"this clip wants source frames {frames[0]} to {frames[-1]}"
        return f"Masks are numbered by source frame: {clip}, and {run}. If these are the same, say \
`from {first}`."
    missing = sum(frame + source.first not in known for frame in frames)
    in_order = len(there) > frames[-1] and there[-1] - there[0] >= len(there)
    option = " If each is the next frame's, say `in_order`." if in_order else ""
    return f"{missing} of {len(frames)} frames have no mask; {run}.{option}"


def _nothing_marked(source: MaskFiles, place: Path) -> tuple[str, str]:
    """The message and the cure where no mask marks a single pixel."""
    sought = f"index {source.index}" if source.index is not None else source.colour
    if sought:
        words, where = ("everywhere", "do not have") if source.invert else ("nowhere", "have")
        cure = f"Is it another object's? The region is where masks {where} it."
        return f"the masks in {place} have {sought} {words}: the region is empty", cure
    shade = "white" if source.invert else "black"
    cure = (
        "The region is where masks are white, or black with `masks(…, invert)`; "
        "`threshold`, `index` and `colour` choose other pixels."
    )
    return f"the masks in {place} are all {shade}: the region is empty", cure
