"""The size of masks: that of the source frames, or scaled to it where the aspect ratio allows."""

from __future__ import annotations

from grainspec.diagnostics import fail
from grainspec.model.expressions import MaskFiles

_ASPECT = 0.02
"""Aspect ratios that differ by less are the same, rounded to whole pixels or blocks of a codec."""


def require_size(
    source: MaskFiles, size: tuple[int, int], frame: tuple[int, int], title: str
) -> None:
    """Raise GrainError (G306) if masks of this size do not fit the source frames.

    Sizes are width and height. Masks of another size fit if they are ``scaled`` and have the aspect
    ratio of the frames.
    """
    (wide, high), (width, height) = size, frame
    if size == frame:
        return
    message = f"{title} is {wide}x{high}, the video {width}x{height}"
    if _same_aspect(size, frame):
        if not source.scaled:
            cure = "Masks must have the size of the source frames, before `crop` and `size`. "
            raise fail("G306", message, cure + "`masks(…, scaled)` scales them.", source.span)
        return
    message += ", of another aspect ratio"
    if _same_aspect((high, wide), frame):
        cure = f"The masks lie on their side: rotate them to {width}x{height}."
    else:
        cure = "Scaling would shift them against the frames. Draw or export them on the whole "
        cure += f"source frames, {width}x{height}, without cropping or padding."
    raise fail("G306", message, cure, source.span)


def _same_aspect(size: tuple[int, int], other: tuple[int, int]) -> bool:
    across, down = size[0] * other[1], size[1] * other[0]
    return abs(across - down) <= max(_ASPECT * down, sum(other))  # a side may be rounded by 1
