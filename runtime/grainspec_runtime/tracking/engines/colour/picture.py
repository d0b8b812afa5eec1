"""A frame as the engine sees it: smaller if it is large, in Lab, cut into small regions.

Dimensions: H rows, W columns, S regions, E pairs of neighbouring regions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from grainspec_runtime.tracking.engine import Frame

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

STEP = 6
"""The distance of the regions' seeds in pixels."""


@dataclass(frozen=True)
class Picture:
    """lab_HW3: CIE Lab, L from 0 to 100. grey_HW: uint8, for optical flow. regions: its regions."""

    lab_HW3: Floats
    grey_HW: npt.NDArray[np.uint8]
    regions: Regions

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        height, width = self.grey_HW.shape
        return height, width


@dataclass(frozen=True)
class Regions:
    """A partition of a frame into small regions that keep to its edges.

    index_HW: the region of each pixel. area_S: pixels. lab_S3, wide_S3: the mean Lab, of the region
    and of what surrounds it. xy_S2: its centre. pairs_E2: neighbours. border_E: the length of their
    common border. step_E: the difference in Lab across it.
    """

    index_HW: Ints
    area_S: Floats
    lab_S3: Floats
    wide_S3: Floats
    xy_S2: Floats
    pairs_E2: Ints
    border_E: Floats
    step_E: Floats

    def __len__(self) -> int:
        return len(self.area_S)

    def mean(self, values_HWC: npt.NDArray[Any]) -> Floats:
        """The mean of each region, float32 ``[S, C]``."""
        flat, count = self.index_HW.ravel(), len(self)
        columns = values_HWC.reshape(flat.size, -1).T
        sums = [np.bincount(flat, column, count) for column in columns]
        return (np.stack(sums, 1) / self.area_S[:, None]).astype(np.float32)


def picture(frame_HW3: Frame, size: tuple[int, int]) -> Picture:
    """Prepare a frame at ``size`` (rows, columns)."""
    height, width = size
    if frame_HW3.shape[:2] != size:
        frame_HW3 = cv2.resize(frame_HW3, (width, height), interpolation=cv2.INTER_AREA)
    frame_HW3 = np.ascontiguousarray(frame_HW3)
    smooth = cv2.bilateralFilter(frame_HW3, 5, 12, 2)
    lab = cv2.cvtColor(smooth.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    return Picture(lab, cv2.cvtColor(frame_HW3, cv2.COLOR_RGB2GRAY), _regions(smooth, lab))


def _watershed(frame_HW3: Frame) -> Ints:
    """Grow regions from the points of a grid; they meet where the frame changes most."""
    height, width = frame_HW3.shape[:2]
    pad = 2  # cv2.watershed leaves the outermost pixels without a region
    padded = cv2.copyMakeBorder(frame_HW3, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    markers = np.zeros(padded.shape[:2], np.int32)
    down, across = _places(height) + pad, _places(width) + pad
    markers[np.ix_(down, across)] = np.arange(len(down) * len(across)).reshape(len(down), -1) + 1
    cv2.watershed(padded, markers)
    markers = markers[pad:-pad, pad:-pad]
    return _filled(markers, frame_HW3)


def _places(length: int) -> Ints:
    count = max(1, round(length / STEP))
    return ((np.arange(count) + 0.5) * length / count).astype(np.int32)


def _filled(markers_HW: Ints, frame_HW3: Frame) -> Ints:
    """Give the lines between regions to the neighbour of the most similar colour."""
    result = markers_HW.copy()
    colours = frame_HW3.astype(np.int16)
    for _ in range(8):
        lines = result <= 0
        if not lines.any():
            break
        down, across = np.nonzero(lines)
        best = np.full(len(down), 10**6)
        label = np.zeros(len(down), np.int32)
        height, width = result.shape
        for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
            y, x = np.clip(down + dy, 0, height - 1), np.clip(across + dx, 0, width - 1)
            there = result[y, x]
            gap = np.abs(colours[y, x] - colours[down, across]).sum(-1).astype(np.int64)
            gap[there <= 0] = 10**6
            nearer = gap < best
            best[nearer], label[nearer] = gap[nearer], there[nearer]
        result[down, across] = label
    result[result <= 0] = 1
    return result


def _regions(frame_HW3: Frame, lab_HW3: Floats) -> Regions:
    found = _watershed(frame_HW3)
    _, index = np.unique(found, return_inverse=True)
    index_HW = index.reshape(found.shape).astype(np.int32)
    area = np.bincount(index_HW.ravel()).astype(np.float32)
    pairs, border, step = _neighbours(index_HW, lab_HW3)
    down, across = np.mgrid[: found.shape[0], : found.shape[1]].astype(np.float32)
    bare = Regions(index_HW, area, *(np.empty(0),) * 3, pairs, border, step)
    wide = cv2.GaussianBlur(lab_HW3, (0, 0), STEP)
    values = bare.mean(np.dstack([lab_HW3, wide, across, down]))
    return Regions(
        index_HW, area, values[:, :3], values[:, 3:6], values[:, 6:], pairs, border, step
    )


def _neighbours(index_HW: Ints, lab_HW3: Floats) -> tuple[Ints, Floats, Floats]:
    """Pairs of regions that touch, how long their border is, and the difference across it."""
    firsts, seconds, gaps = [], [], []
    for here, there in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1, :], np.s_[1:, :]),
    ):
        a, b = index_HW[here], index_HW[there]
        edge = a != b
        firsts.append(np.minimum(a, b)[edge])
        seconds.append(np.maximum(a, b)[edge])
    first, second = np.concatenate(firsts).astype(np.int64), np.concatenate(seconds)
    count = int(index_HW.max()) + 1
    keys, length = np.unique(first * count + second, return_counts=True)
    pairs = np.stack([keys // count, keys % count], 1).astype(np.int32)
    del gaps, lab_HW3
    return pairs, length.astype(np.float32), np.zeros(len(pairs), np.float32)
