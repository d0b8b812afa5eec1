"""Sample images at sub-pixel positions, and warp them along a flow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def moved(flow_HW2: npt.NDArray[Any]) -> Floats:
    """The point ``(x, y)`` that the flow moves each pixel to, float32 ``[H, W, 2]``."""
    height, width = flow_HW2.shape[:2]
    down, across = np.mgrid[:height, :width]
    points: Floats = np.stack([across, down], -1).astype(np.float32) + flow_HW2
    return points


def inside(points_X2: npt.NDArray[Any], size: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Which points lie inside an image of ``size`` ``(H, W)``, whose corner is at (-0.5, -0.5)."""
    height, width = size
    x, y = points_X2[..., 0], points_X2[..., 1]
    return np.asarray((x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5))


def at_points(picture_HWC: npt.NDArray[Any], points_X2: npt.NDArray[Any]) -> Floats:
    """Sample an image bilinearly at points ``(x, y)``: float32 ``[X, C]``.

    Outside the image, the border is repeated. ``points_X2`` may have any shape ``[…, 2]``. OpenCV's
    ``remap`` is not used because it rounds points to 1/32 pixel.

    >>> at_points(np.float32([[[0], [10]]]), np.float32([[0.25, 0], [7, 0]])).ravel()
    array([ 2.5, 10. ], dtype=float32)
    """
    height, width = picture_HWC.shape[:2]
    # np.where: a point with NaN or infinity must not become an index
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
    """Warp an image: each output pixel is sampled where the flow leads, float32 ``[H, W, C]``.

    The backward flow of a pair warps the first frame onto the second.
    """
    return at_points(picture_HWC, moved(flow_HW2))
