"""Shapes and distances by their formulas: a comparison for every pixel.

x to the right, y down, in source pixels. A tie is decided as the shapes define it where numbers are
exact: the left and the upper side belong to a shape, the right and the lower one do not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from grainspec.regions.layout import Mask
from grainspec.testing.regions.extent import Extent

Line = npt.NDArray[np.float64]
"""The centres of pixels along one axis."""

NEAR = 1e-7
"""Source pixels within which rounding may decide."""


def box(x: Line, y: Line, sides: Sequence[float], exact: bool) -> Extent:
    """The pixels in a rectangle, ``[H, W]``."""
    x0, y0, x1, y1 = sides

    def inside(near: float) -> Mask:
        columns = (x >= x0 + near) & (x < x1 - near)
        return np.asarray(((y >= y0 + near) & (y < y1 - near))[:, None] & columns)

    near = 0 if exact else NEAR
    return Extent(inside(near), inside(-near))


def ellipse(x: Line, y: Line, sides: Sequence[float], exact: bool) -> Extent:
    """The pixels in the ellipse that touches the sides of a rectangle, ``[H, W]``."""
    x0, y0, x1, y1 = sides
    around = box(x, y, sides, exact)
    if x1 <= x0 or y1 <= y0:
        return around
    centre_x, centre_y = (x0 + x1) / 2, (y0 + y1) / 2
    across, down = (x - centre_x) / (x1 - x0) * 2, (y - centre_y) / (y1 - y0) * 2
    away = np.square(down)[:, None] + np.square(across)
    small = min(x1 - x0, y1 - y0)
    near = 1e-9 + (1e-13 if exact else NEAR) * sum(map(abs, sides)) / small
    sure = away <= 1 - near
    if exact:  # the points that touch the left and the upper side
        sure |= (y == centre_y)[:, None] & (x == x0) | (y == y0)[:, None] & (x == centre_x)
    return around & Extent(sure, away <= 1 + near)


def polygon(x: Line, y: Line, points: Sequence[tuple[float, float]], exact: bool) -> Extent:
    """The pixels in a polygon by the even-odd rule, ``[H, W]``.

    A pixel is inside if an odd number of edges cross its row to the right of its centre.
    """
    odd = np.zeros((len(y), len(x)), np.bool_)
    doubtful = np.zeros_like(odd)
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        if not exact:
            doubtful |= (abs(y - y0) <= NEAR)[:, None]
        rows = np.flatnonzero((y0 <= y) != (y1 <= y))
        if not len(rows):
            continue
        at = (x0 * (y1 - y[rows]) + x1 * (y[rows] - y0)) / (y1 - y0)
        if x0 == x1:
            at[:] = x0
        odd[rows] ^= at[:, None] > x
        if not (exact and x0 == x1):
            steep = 1 + (abs(y0) + abs(y1)) / abs(y1 - y0)
            near = NEAR + 1e-13 * (abs(x0) + abs(x1)) * steep
            doubtful[rows] |= abs(at[:, None] - x) <= near
    return Extent(odd & ~doubtful, odd | doubtful)


def disc(mask: Mask, radius: float) -> Mask:
    """The pixels within ``radius`` pixels of a mask's, ``[…, H, W]``.

    Row by row: a pixel is in the result if the mask has a pixel so many rows above or below it,
    and at most so many columns aside as the circle is wide there.
    """
    height, width = mask.shape[-2:]
    sums = np.zeros((*mask.shape[:-1], width + 1), np.int32)
    sums[..., 1:] = mask.cumsum(axis=-1)
    columns = np.arange(width)
    result = np.zeros_like(mask)
    for rows in range(min(math.floor(radius), height - 1) + 1):
        aside = _widest(radius, rows, width)
        left, right = np.maximum(columns - aside, 0), np.minimum(columns + aside + 1, width)
        near = sums[..., right] > sums[..., left]
        result[..., : height - rows, :] |= near[..., rows:, :]
        result[..., rows:, :] |= near[..., : height - rows, :]
    return result


def _widest(radius: float, rows: int, most: int) -> int:
    """How many columns aside a pixel may be, so many rows away."""
    aside = min(math.isqrt(max(0, math.floor(radius * radius) - rows * rows)), most)
    return aside
