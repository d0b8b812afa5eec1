"""Draw shapes into masks, and grow masks. A pixel is inside a shape if its centre is.

Coordinates are in pixels, x to the right and y down; the centre of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from grainspec.regions.layout import Mask


def fill_box(shape: tuple[int, int], x0: float, y0: float, x1: float, y1: float) -> Mask:
    """Draw a rectangle, bool ``[H, W]``.

    >>> fill_box((2, 4), 1, 0, 3, 2).astype(int)
    array([[0, 1, 1, 0],
           [0, 1, 1, 0]])
    """
    x, y = _centres(shape)
    return np.asarray(((y >= y0) & (y < y1))[:, None] & ((x >= x0) & (x < x1))[None])


def fill_ellipse(shape: tuple[int, int], x0: float, y0: float, x1: float, y1: float) -> Mask:
    """Draw the ellipse that touches the sides of a rectangle, bool ``[H, W]``.

    It has no pixel that the rectangle has not: where it touches the right side or the lower one at
    the centre of a pixel, that pixel is outside of both.

    >>> fill_ellipse((3, 5), 0, 0, 5, 3).astype(int)
    array([[0, 1, 1, 1, 0],
           [1, 1, 1, 1, 1],
           [0, 1, 1, 1, 0]])
    """
    if x1 <= x0 or y1 <= y0:
        return np.zeros(shape, np.bool_)
    x, y = _centres(shape)
    across = (2 * x - x0 - x1) / (x1 - x0)
    down = (2 * y - y0 - y1) / (y1 - y0)
    touched = down[:, None] ** 2 + across[None] ** 2 <= 1
    return np.asarray(touched & fill_box(shape, x0, y0, x1, y1))


def fill_polygon(shape: tuple[int, int], points: Sequence[tuple[float, float]]) -> Mask:
    """Draw a polygon, bool ``[H, W]``; the even-odd rule applies where it crosses itself.

    >>> fill_polygon((3, 4), [(0, 0), (4, 0), (0, 4)]).astype(int)
    array([[1, 1, 1, 0],
           [1, 1, 0, 0],
           [1, 0, 0, 0]])
    """
    _, y = _centres(shape)
    corners = np.array(points, np.float64)
    following = np.roll(corners, -1, axis=0)
    low = np.searchsorted(y, np.minimum(corners[:, 1], following[:, 1]))
    crossed = np.searchsorted(y, np.maximum(corners[:, 1], following[:, 1])) - low  # rows
    changes = np.zeros((shape[0], shape[1] + 1), np.uint8)
    for edges in _batches(crossed):
        count = crossed[edges]
        edge = np.repeat(edges, count)
        rows = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count - low[edges], count)
        (x0, y0), (x1, y1) = corners[edge].T, following[edge].T
        with np.errstate(over="ignore", invalid="ignore"):  # corners may be anywhere
            crossing = x0 + (y[rows] - y0) * (x1 - x0) / (y1 - y0)
        at = np.maximum(np.fmin(np.ceil(crossing - 0.5), shape[1]), 0)  # the first centre behind it
        np.add.at(changes, (rows, at.astype(np.intp)), np.uint8(1))  # only even or odd matters
    return np.asarray(np.bitwise_xor.accumulate(changes & 1, axis=1)[:, :-1].astype(np.bool_))


_BATCH = 1 << 18
"""Crossings of edges and rows that are computed at once."""


def _batches(crossed: npt.NDArray[np.intp]) -> Iterator[npt.NDArray[np.intp]]:
    """The edges that cross a row, in batches of at most ``_BATCH`` crossings or one edge."""
    edges = np.flatnonzero(crossed)
    batch = np.cumsum(crossed[edges]) // _BATCH
    for number in np.unique(batch):
        yield edges[batch == number]


def grow(mask: Mask, radius: float) -> Mask:
    """Add every pixel within ``radius`` of the region, bool ``[…, H, W]``.

    A negative radius shrinks: it removes every pixel within ``-radius`` of a pixel outside the
    region. Pixels beyond the frame do not count, so a region does not shrink at the frame's edge.

    >>> dot = np.zeros((5, 5), bool)
    >>> dot[2, 2] = True
    >>> grow(dot, 1.5).astype(int)
    array([[0, 0, 0, 0, 0],
           [0, 1, 1, 1, 0],
           [0, 1, 1, 1, 0],
           [0, 1, 1, 1, 0],
           [0, 0, 0, 0, 0]])
    """
    if radius < 0:
        return ~grow(~mask, -radius)
    height, width = mask.shape[-2:]
    away = _rows_away(mask)
    grown = mask.copy()
    rows = np.arange(min(math.floor(radius), height - 1) + 1)
    reach = np.floor(np.sqrt(radius * radius - rows * rows))  # to the sides, by rows away
    for aside in range(int(min(reach[0], width - 1)) + 1):
        near = away < np.count_nonzero(reach >= aside)
        grown[..., : width - aside] |= near[..., aside:]
        grown[..., aside:] |= near[..., : width - aside]
    return grown


def _rows_away(mask: Mask) -> npt.NDArray[np.int32]:
    """How many rows each pixel is from the region's nearest pixel in its column."""
    height = mask.shape[-2]
    rows = np.arange(height, dtype=np.int32)[:, None]
    far = np.int32(1 << 30)
    above = np.maximum.accumulate(np.where(mask, rows, -far), axis=-2)
    below = np.minimum.accumulate(np.where(mask, rows, far)[..., ::-1, :], axis=-2)[..., ::-1, :]
    return np.minimum(rows - above, below - rows)


def _centres(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5
