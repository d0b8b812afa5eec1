"""What files of masks claim about themselves, compared with the clip before anything is expanded.

A few bytes of run lengths, or the head of an array, can claim a frame of any size. A claim that
does not fit the clip is refused here, by its numbers alone.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from grainspec.diagnostics import fail
from grainspec.limits import MAX_PIXELS, MAX_POINTS
from grainspec.model.expressions import MaskFiles

_ASPECT = 0.02
"""Aspect ratios that differ by less are the same, rounded to whole pixels or blocks of a codec."""

_END, _END_64 = b"PK\x05\x06", b"PK\x06\x07"
_LONGEST_END = 65_557
_LARGEST_LIST = 8_000_000
"""Bytes of an archive's list of members."""


def require_size(
    source: MaskFiles, title: str, size: tuple[int, int], clip: tuple[int, int]
) -> None:
    """Raise GrainError (G306) for a mask that cannot be brought to the clip's size.

    Sizes are width and height. Masks of another size need `scaled` and the same aspect ratio.
    """
    if size == clip or (source.scaled and _same_aspect(size, clip) and _pixels(size) <= MAX_PIXELS):
        return
    (wide, high), (width, height) = size, clip
    message = f"{title} is {wide}x{high}, the video {width}x{height}"
    if _pixels(size) > MAX_PIXELS:
        message = f"{title} is too large: {wide}x{high}, the video {width}x{height}"
        raise fail("G306", message, f"Export the masks as {width}x{height}.", source.span)
    if _same_aspect(size, clip):
        cure = "Masks must have the size of the source frames, before `crop` and `size`. "
        raise fail("G306", message, cure + "`masks(…, scaled)` scales them.", source.span)
    message += ", of another aspect ratio"
    if _same_aspect((high, wide), clip):
        cure = f"The masks lie on their side: rotate them to {width}x{height}."
    else:
        cure = "Scaling would shift them against the frames. Draw or export them on the whole "
        cure += f"source frames, {width}x{height}, without cropping or padding."
    raise fail("G306", message, cure, source.span)


def _pixels(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _same_aspect(size: tuple[int, int], other: tuple[int, int]) -> bool:
    across, down = size[0] * other[1], size[1] * other[0]
    return abs(across - down) <= max(_ASPECT * down, sum(other))  # a side may be rounded by 1


def require_few_points(numbers: int) -> None:
    """Raise ValueError for more points, x and y each, than the outlines of a frame may have."""
    if numbers > 2 * MAX_POINTS:
        raise ValueError(f"it has {numbers // 2:,} points on a frame, more than {MAX_POINTS:,}")


def require_few_runs(counts: list[int] | str, pixels: int) -> None:
    """Raise ValueError for run lengths that must have more runs than there are pixels."""
    longest = 7 if isinstance(counts, str) else 1  # characters of a compressed run
    if len(counts) > longest * (2 * pixels + 2):
        raise ValueError(f"it has more runs than {pixels:,} pixels can have")


def require_short_list(stream: BinaryIO) -> None:
    """Raise ValueError for a ZIP archive whose list of members alone would fill the memory."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _LONGEST_END))
    tail = stream.read(_LONGEST_END)
    end = tail.rfind(_END)
    listed = int.from_bytes(tail[end + 12 : end + 16], "little") if end >= 0 else 0
    if listed > _LARGEST_LIST or tail.rfind(_END_64) >= 0:
        raise ValueError("it has too many members, or more than 4 GB")
    stream.seek(0)
