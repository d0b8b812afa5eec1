"""PSNR and SSIM of what was not edited: how well it was kept.

Dimensions: F frames, H rows, W columns.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from grainspec_runtime.media.decode import Frames

Mask = npt.NDArray[np.bool_]

_SIGMA, _REACH = 1.5, 5
"""The window of SSIM: a Gaussian of 1.5 pixels, cut to 11 by 11."""
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(source_FHW3: Frames, edited_FHW3: Frames, where_FHW: Mask | None = None) -> float | None:
    """Peak signal-to-noise ratio in dB over all the pixels ``where`` says, of all frames together.

    Infinite for equal clips; None where no pixel is left.

    >>> grey = np.full((1, 2, 2, 3), 100, np.uint8)
    >>> round(psnr(grey, grey + np.uint8(10)), 2)  # 20 log10(255 / 10)
    28.13
    """
    error, values = 0.0, 0
    for frame, (before, after) in enumerate(zip(source_FHW3, edited_FHW3, strict=True)):
        gap = before.astype(np.float64) - after
        if where_FHW is not None:
            gap = gap[where_FHW[frame]]
        error += float(np.square(gap).sum())
        values += gap.size
    if not values:
        return None
    return 10 * math.log10(255**2 * values / error) if error else math.inf


def ssim(source_FHW3: Frames, edited_FHW3: Frames, where_FHW: Mask | None = None) -> float | None:
    """Structural similarity (Wang et al., 2004), the mean over colours and windows, at most 1.

    Windows are Gaussian (11 by 11, σ 1.5), as in the paper. Only those that lie wholly on the frame
    and on the pixels ``where`` says are counted, so that what was edited beside them has no part in
    it; None where no window does.

    >>> ramp = np.arange(12 * 12 * 3, dtype=np.uint8).reshape(1, 12, 12, 3)
    >>> round(ssim(ramp, ramp), 6)
    1.0
    """
    height, width = source_FHW3.shape[1:3]
    if min(height, width) < 2 * _REACH + 1:
        return None
    total, values = 0.0, 0
    for frame, (before, after) in enumerate(zip(source_FHW3, edited_FHW3, strict=True)):
        found_hw3 = _similarity(before.astype(np.float64), after.astype(np.float64))
        if where_FHW is not None:
            found_hw3 = found_hw3[_whole_windows(where_FHW[frame])]
        total += float(found_hw3.sum())
        values += found_hw3.size
    return total / values if values else None


def _similarity(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """SSIM of every window on the frame, ``[H - 10, W - 10, 3]``."""
    mx, my = _averaged(x), _averaged(y)
    # a variance of windows, not of samples: no n / (n - 1), as in the paper
    vx, vy = _averaged(x * x) - mx * mx, _averaged(y * y) - my * my
    vxy = _averaged(x * y) - mx * my
    likeness = (2 * mx * my + _C1) * (2 * vxy + _C2)
    return np.asarray(likeness / ((mx * mx + my * my + _C1) * (vx + vy + _C2)))


def _averaged(picture_HW3: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The weighted mean of every window, one axis after the other."""
    offsets = np.arange(-_REACH, _REACH + 1)
    weights = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    for axis in (0, 1):
        size = picture_HW3.shape[axis] - 2 * _REACH
        shifted = (picture_HW3.take(range(i, i + size), axis) for i in range(len(weights)))
        picture_HW3 = np.asarray(sum(w * part for w, part in zip(weights, shifted, strict=True)))
    return picture_HW3


def _whole_windows(mask_HW: Mask) -> Mask:
    """Windows all of whose pixels are set, by their corner: ``[H - 10, W - 10]``."""
    side = 2 * _REACH + 1
    counts = np.pad(mask_HW.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = counts[side:, side:] - counts[:-side, side:] - counts[side:, :-side]
    return np.asarray(inside + counts[:-side, :-side] == side * side)
