"""Draw what a labelling tool outlined: polygons, run lengths, ellipses."""

from __future__ import annotations

from typing import Any

import numpy as np

from grainspec.regions.coco import decode
from grainspec.regions.labels import Ellipse, PlacedRuns
from grainspec.regions.layout import Mask
from grainspec.regions.shapes import fill_ellipse


def draw(segmentation: Any, shape: tuple[int, int]) -> Mask:
    """Draw a segmentation, bool ``[H, W]``; raise ValueError if it does not fit.

    >>> draw(PlacedRuns(1, 0, 2, 2, (1, 3)), (2, 4)).astype(int)
    array([[0, 0, 1, 0],
           [0, 1, 1, 0]])
    """
    if isinstance(segmentation, Ellipse):
        return fill_ellipse(shape, *segmentation)
    if isinstance(segmentation, PlacedRuns):
        return _placed(segmentation, shape)
    return decode(segmentation, shape)


def _placed(runs: PlacedRuns, shape: tuple[int, int]) -> Mask:
    left, top, width, height, counts = runs
    inside = 0 <= left <= left + width <= shape[1] and 0 <= top <= top + height <= shape[0]
    if not inside:
        raise ValueError("a mask extends beyond the frame")
    if min(counts, default=0) < 0 or sum(counts) != width * height:
        raise ValueError(f"a mask's runs do not add up to {width}x{height} pixels")
    mask = np.zeros(shape, np.bool_)
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    mask[top : top + height, left : left + width] = values.reshape(height, width)
    return mask
