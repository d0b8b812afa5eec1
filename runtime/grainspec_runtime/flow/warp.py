"""Reading pictures between their pixels, and moving them along a flow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def moved(flow_HW2: npt.NDArray[Any]) -> Floats:
    """The point that each pixel is moved to, across and down, float32 ``[H, W, 2]``."""
    height, width = flow_HW2.shape[:2]
    down, across = np.mgrid[:height, :width]
    points: Floats = np.stack([across, down], -1).astype(np.float32) + flow_HW2
    return points


def inside(points_X2: npt.NDArray[Any], size: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Which points are on a picture of ``size``, H and W; its pixels reach half a pixel out."""
    height, width = size
    across, down = points_X2[..., 0], points_X2[..., 1]
    found = (across > -0.5) & (across < width - 0.5) & (down > -0.5) & (down < height - 0.5)
    return np.asarray(found)


def at_points(picture_HWC: npt.NDArray[Any], points_X2: npt.NDArray[Any]) -> Floats:
    """A picture read at points between its pixels, bilinearly: float32 ``[X, C]``.

    Beyond its border the border is read. ``points`` may have any shape ``[…, 2]``; OpenCV's
    ``remap`` is not used, as it rounds points to a thirty-second of a pixel.

    >>> at_points(np.float32([[[0], [10]]]), np.float32([[0.25, 0], [7, 0]])).ravel()
    array([ 2.5, 10. ], dtype=float32)
    """
    height, width = picture_HWC.shape[:2]
    # np.where: a point that is no number must not become an index
    points = np.where(np.isfinite(points_X2), points_X2, 0).astype(np.float32)
    across = np.clip(points[..., 0], 0, width - 1)
    down = np.clip(points[..., 1], 0, height - 1)
    left = np.minimum(across.astype(np.intp), max(width - 2, 0))
    top = np.minimum(down.astype(np.intp), max(height - 2, 0))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    x, y = (
        (across - left).astype(np.float32)[..., None],
        (down - top).astype(np.float32)[..., None],
    )
    picture = picture_HWC.astype(np.float32, copy=False)
    above = picture[top, left] * (1 - x) + picture[top, right] * x
    below = picture[bottom, left] * (1 - x) + picture[bottom, right] * x
    return np.asarray(above * (1 - y) + below * y)


def warped(picture_HWC: npt.NDArray[Any], flow_HW2: npt.NDArray[Any]) -> Floats:
    """Each pixel of the result is read where ``flow`` leads from it: float32 ``[H, W, C]``.

    With the backward flow of a pair this carries the first frame onto the second.
    """
    return at_points(picture_HWC, moved(flow_HW2))
