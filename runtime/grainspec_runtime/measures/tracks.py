"""How well tracked masks agree with true ones: region and boundary, as DAVIS measures them.

Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation",
CVPR 2016. Masks are bool ``[H, W]``; a track is one object's masks, bool ``[F, H, W]``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

TOLERANCE = 0.008
"""How far apart two boundaries may be to agree, as a fraction of the frame's diagonal."""


@dataclass(frozen=True)
class Summary:
    """One number per frame, summarised.

    mean: over all frames. recall: the fraction of frames above 0.5. decay: the mean of the first
    quarter of frames less that of the last; negative if the track becomes better.
    """

    mean: float
    recall: float
    decay: float


def region_iou(found_HW: Mask, true_HW: Mask) -> float:
    """J: intersection over union, 1 if both masks are empty.

    >>> region_iou(np.bool_([[1, 1, 0]]), np.bool_([[0, 1, 1]]))
    0.3333333333333333
    """
    union = int(np.count_nonzero(found_HW | true_HW))
    return int(np.count_nonzero(found_HW & true_HW)) / union if union else 1.0


def boundary_f(found_HW: Mask, true_HW: Mask, tolerance: float = TOLERANCE) -> float:
    """F: harmonic mean of the precision and the recall of boundary pixels, 1 if both are empty.

    A pixel of one boundary agrees if the other has a pixel within ``tolerance`` times the frame's
    diagonal, rounded up to whole pixels.

    >>> mask = np.zeros((9, 9), bool)
    >>> mask[3:6, 3:6] = True
    >>> boundary_f(mask, np.roll(mask, 1, 0)), boundary_f(mask, ~mask & False)
    (1.0, 0.0)
    """
    reach = math.ceil(tolerance * math.hypot(*true_HW.shape))
    found, true = boundary(found_HW), boundary(true_HW)
    if not found.any() or not true.any():
        return float(found.any() == true.any())
    precision = float(np.mean(_dilated(true, reach)[found]))
    recall = float(np.mean(_dilated(found, reach)[true]))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary(mask_HW: Mask) -> Mask:
    """Pixels that differ from their neighbour to the right, below, or both; one pixel wide."""
    padded = np.pad(mask_HW, ((0, 1), (0, 1)), "edge")
    right, below, both = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return np.asarray((mask_HW != right) | (mask_HW != below) | (mask_HW != both))


def _dilated(mask_HW: Mask, reach: int) -> Mask:
    """Pixels within a disk of radius ``reach`` around a pixel that is set."""
    height, width = mask_HW.shape
    result = np.zeros_like(mask_HW)
    counts = np.pad(mask_HW.astype(np.int32).cumsum(1), ((0, 0), (reach + 1, reach)), "edge")
    counts[:, : reach + 1] = 0
    for down in range(-reach, reach + 1):
        across = math.isqrt(reach**2 - down**2)
        ends = counts[:, reach + 1 + across : reach + 1 + across + width]
        starts = counts[:, reach - across : reach - across + width]
        rows = ends > starts
        if abs(down) < height:
            into, out = (
                slice(max(0, down), height + min(0, down)),
                slice(max(0, -down), height - max(0, down)),
            )
            result[into] |= rows[out]
    return result


def summarised(values_F: npt.NDArray[np.floating]) -> Summary:
    """Mean, recall and decay of one track's J or F.

    >>> summarised(np.array([1.0, 0.8, 0.6, 0.4]))
    Summary(mean=0.7, recall=0.75, decay=0.4)
    """
    if not len(values_F):
        raise ValueError("a track without frames has no J or F")
    bounds = np.round(np.linspace(1, len(values_F), 5) + 1e-10).astype(int) - 1
    first, last = (values_F[bounds[i] : bounds[i + 1] + 1] for i in (0, 3))
    return Summary(
        mean=float(np.mean(values_F)),
        recall=float(np.mean(values_F > 0.5)),
        decay=float(np.mean(first) - np.mean(last)),
    )


def track_scores(found_FHW: Mask, true_FHW: Mask) -> tuple[Floats, Floats]:
    """J and F of one object per frame, float64 ``[F]`` each."""
    pairs = list(zip(found_FHW, true_FHW, strict=True))
    return (
        np.array([region_iou(*pair) for pair in pairs]),
        np.array([boundary_f(*pair) for pair in pairs]),
    )
