"""Draw shapes into masks, and grow masks. A pixel is inside a shape if its centre is.

Coordinates are in pixels, x to the right and y down; the centre of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

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
    return np.asarray(down[:, None] ** 2 + across[None] ** 2 <= 1)


def fill_polygon(shape: tuple[int, int], points: Sequence[tuple[float, float]]) -> Mask:
    """Draw a polygon, bool ``[H, W]``; the even-odd rule applies where it crosses itself.

    >>> fill_polygon((3, 4), [(0, 0), (4, 0), (0, 4)]).astype(int)
    array([[1, 1, 1, 0],
           [1, 1, 0, 0],
           [1, 0, 0, 0]])
    """
    x, y = _centres(shape)
    inside = np.zeros(shape, np.bool_)
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        rows = np.flatnonzero((y < y0) != (y < y1))
        if len(rows):
            crossing = x0 + (y[rows] - y0) * (x1 - x0) / (y1 - y0)
            inside[rows] ^= x[None] >= crossing[:, None]
    return inside


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
    height = mask.shape[-2]
    grown = mask.copy()
    for up in range(min(math.floor(radius), height - 1) + 1):
        wide = _widen(mask, math.floor(math.sqrt(radius * radius - up * up)))
        grown[..., : height - up, :] |= wide[..., up:, :]
        grown[..., up:, :] |= wide[..., : height - up, :]
    return grown


def _widen(mask: Mask, reach: int) -> Mask:
    """Add every pixel at most ``reach`` pixels from the region in the same row."""
    width = mask.shape[-1]
    reach = min(reach, width - 1)
    count = np.zeros((*mask.shape[:-1], width + 1), np.int32)
    np.cumsum(mask, axis=-1, out=count[..., 1:])
    at = np.arange(width)
    return np.asarray(
        count[..., np.minimum(at + reach + 1, width)] > count[..., np.maximum(at - reach, 0)]
    )


def _centres(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5
