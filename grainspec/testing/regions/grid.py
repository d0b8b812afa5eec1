"""Where the centres of a crop's pixels lie in the source frame, by the rules of `video`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from grainspec.clip.facts import ClipFacts
from grainspec.model.spec import Video
from grainspec.regions.layout import Mask
from grainspec.testing.regions.extent import Extent
from grainspec.testing.regions.formula import Line

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Placed:
    """The box of the source frame that is edited, the size it is scaled to, and its padding."""

    box: tuple[float, float, float, float]
    inner: tuple[float, float]
    """Width and height without padding, before they are rounded."""

    def padding(self, size: tuple[int, int], inner: tuple[int, int]) -> tuple[int, int, int, int]:
        """Left, above, right, below: the scaled box lies in the centre, or as near to the upper
        left corner."""
        spare = size[0] - inner[0], size[1] - inner[1]
        left, above = spare[0] // 2, spare[1] // 2
        return left, above, spare[0] - left, spare[1] - above


def crop_box(video: Video, facts: ClipFacts) -> tuple[float, float, float, float]:
    """The box of `crop` as far as it lies in the frame."""
    whole = (0.0, 0.0, float(facts.width), float(facts.height))
    if video.crop is None:
        return whole
    key = video.crop.keyframes[0]
    sides = [
        length.value * extent / 100 if length.unit == "%" else length.value
        for length, extent in (
            (key.x0, facts.width),
            (key.y0, facts.height),
            (key.x1, facts.width),
            (key.y1, facts.height),
        )
    ]
    return (
        max(sides[0], whole[0]),
        max(sides[1], whole[1]),
        min(sides[2], whole[2]),
        min(sides[3], whole[3]),
    )


def placed(video: Video, facts: ClipFacts, size: tuple[int, int]) -> Placed:
    """What is edited of a frame, for edited frames of this width and height."""
    x0, y0, x1, y1 = crop_box(video, facts)
    wide, high = x1 - x0, y1 - y0
    if video.fit == "pad":
        scale = min(size[0] / wide, size[1] / high)
        return Placed((x0, y0, x1, y1), (wide * scale, high * scale))
    scale = max(size[0] / wide, size[1] / high)  # until it covers the size
    cut_x = (wide - size[0] / scale) / 2 if size[0] / scale < wide else 0.0
    cut_y = (high - size[1] / scale) / 2 if size[1] / scale < high else 0.0
    return Placed(
        (x0 + cut_x, y0 + cut_y, x1 - cut_x, y1 - cut_y), (float(size[0]), float(size[1]))
    )


@dataclass(frozen=True)
class Grid:
    """The centres of pixels, in source pixels, over all of the frame: a crop's and those beside it.

    ``rows`` and ``columns`` are the crop's. ``scale`` is in pixels per source pixel. ``exact``: no
    rounding. ``doubtful``: pixels at the frame's border, which rounding may put beyond it.
    """

    x: Line
    y: Line
    rows: slice
    columns: slice
    scale: tuple[float, float]
    exact: bool
    padding: tuple[int, int, int, int]
    doubtful: Mask

    def cropped(self, extent: Extent) -> Extent:
        """The crop's part of an extent, with padding, which belongs to no region."""
        left, above, right, below = self.padding
        parts = [mask[:, self.rows, self.columns] for mask in extent]
        if any(self.padding):
            parts = [np.pad(mask, ((0, 0), (above, below), (left, right))) for mask in parts]
        return Extent(*parts)


def grid_of(where: Placed, size: tuple[int, int], inner: tuple[int, int], facts: ClipFacts) -> Grid:
    """The grid of a crop whose box is scaled to ``inner``, within edited frames of ``size``."""
    left, top, right, bottom = where.box
    across, down = inner[0] / (right - left), inner[1] / (bottom - top)
    exact = all(math.frexp(scale)[0] == 0.5 for scale in (across, down))
    exact = exact and left == int(left) and top == int(top)
    x, columns, odd_columns = _axis(left, right, facts.width, across, inner[0], exact)
    y, rows, odd_rows = _axis(top, bottom, facts.height, down, inner[1], exact)
    doubtful = odd_rows[:, None] | odd_columns
    padding = where.padding(size, inner)
    return Grid(x, y, rows, columns, (across, down), exact, padding, doubtful)


def _axis(
    low: float, high: float, extent: int, scale: float, count: int, exact: bool
) -> tuple[Line, slice, Mask]:
    """The centres along an axis, which of them are the crop's, and which may lie beyond it."""
    rounding = 0 if exact else _ROUNDING
    before, after = low * scale, max(0.0, extent - high) * scale
    first, last = math.floor(before + rounding), math.floor(after + rounding)
    at = np.arange(-first, count + last)
    centres: Line = np.asarray(low + (at + 0.5) / scale, np.float64)
    doubtful: Mask = np.zeros(len(at), np.bool_)
    doubtful[: first - math.floor(before - rounding)] = not exact
    doubtful[len(at) - (last - math.floor(after - rounding)) :] = not exact
    return centres, slice(first, first + count), doubtful
