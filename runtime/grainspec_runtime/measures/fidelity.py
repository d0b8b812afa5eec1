"""PSNR and SSIM, used to measure how well unedited areas are preserved.

Dimensions: F frames, H rows, W columns.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from grainspec_runtime.media.decode import Frames

Mask = npt.NDArray[np.bool_]

_SIGMA, _REACH = 1.5, 5
"""The kernel of SSIM: a Gaussian with σ = 1.5 pixels, truncated to 11 x 11."""
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(source_FHW3: Frames, edited_FHW3: Frames, where_FHW: Mask | None = None) -> float | None:
    """Peak signal-to-noise ratio in dB, over the pixels selected by ``where_FHW`` in all frames.

    Infinite for identical clips; None if no pixel is selected.

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
    """Structural similarity (Wang et al., 2004), averaged over channels and kernel positions.

    The kernel is Gaussian (11 x 11, σ = 1.5), as in the paper. Only positions where the whole
    kernel lies inside the frame and on pixels selected by ``where_FHW`` are counted, so that edited
    pixels nearby have no influence. At most 1; None if there is no such position.

    >>> ramp = np.arange(12 * 12 * 3, dtype=np.uint8).reshape(1, 12, 12, 3)
    >>> round(ssim(ramp, ramp), 6)
    1.0
    """
    height, width = source_FHW3.shape[1:3]
    if min(height, width) < 2 * _REACH + 1:
        return None
    total, values = 0.0, 0
    for frame, (before, after) in enumerate(zip(source_FHW3, edited_FHW3, strict=True)):
        ssim_hw3 = _similarity(before.astype(np.float64), after.astype(np.float64))
        if where_FHW is not None:
            ssim_hw3 = ssim_hw3[_whole_kernels(where_FHW[frame])]
        total += float(ssim_hw3.sum())
        values += ssim_hw3.size
    return total / values if values else None


def _similarity(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """SSIM at every kernel position inside the frame, ``[H - 10, W - 10, 3]``."""
    mx, my = _averaged(x), _averaged(y)
    # population variance, without Bessel's correction n / (n - 1), as in the paper
    vx, vy = _averaged(x * x) - mx * mx, _averaged(y * y) - my * my
    vxy = _averaged(x * y) - mx * my
    likeness = (2 * mx * my + _C1) * (2 * vxy + _C2)
    return np.asarray(likeness / ((mx * mx + my * my + _C1) * (vx + vy + _C2)))


def _averaged(picture_HW3: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Convolve with the Gaussian kernel, one axis at a time."""
    offsets = np.arange(-_REACH, _REACH + 1)
    weights = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    for axis in (0, 1):
        size = picture_HW3.shape[axis] - 2 * _REACH
        shifted = (picture_HW3.take(range(i, i + size), axis) for i in range(len(weights)))
        picture_HW3 = np.asarray(sum(w * part for w, part in zip(weights, shifted, strict=True)))
    return picture_HW3


def _whole_kernels(mask_HW: Mask) -> Mask:
    """Kernel positions whose pixels are all set, by top-left corner: ``[H - 10, W - 10]``."""
    side = 2 * _REACH + 1
    counts = np.pad(mask_HW.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = counts[side:, side:] - counts[:-side, side:] - counts[side:, :-side]
    return np.asarray(inside + counts[:-side, :-side] == side * side)
