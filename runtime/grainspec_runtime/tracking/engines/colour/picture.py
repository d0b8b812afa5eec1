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

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int32]

STEP = 6
"""The distance of the regions' seeds in pixels."""


_BESIDE = (np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1, :], np.s_[1:, :])
"""The first and the second of all pairs of pixels side by side, and of all one above another."""


@dataclass(frozen=True)
class Picture:
    """lab_HW3: CIE Lab, L from 0 to 100. grey_HW: uint8, for optical flow. regions: its regions.

    noise: the median difference in Lab between a pixel and its surroundings.
    """

    lab_HW3: Floats
    grey_HW: npt.NDArray[np.uint8]
    regions: Regions
    noise: float

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
    common border, in pixels.
    """

    index_HW: Ints
    area_S: Floats
    lab_S3: Floats
    wide_S3: Floats
    xy_S2: Floats
    pairs_E2: Ints
    border_E: Floats

    def __len__(self) -> int:
        return len(self.area_S)

    def mean(self, values_HWC: npt.NDArray[Any]) -> Floats:
        """The mean of each region, float32 ``[S, C]``."""
        return means(self.index_HW, self.area_S, values_HWC)

    def along_borders(self, values_HW: npt.NDArray[Any]) -> Floats:
        """The mean along the common border of each pair, on both sides of it, ``[E]``."""
        count = len(self)
        first, second = self.pairs_E2.astype(np.int64).T
        keys, total = first * count + second, np.zeros(len(first))
        index = self.index_HW.astype(np.int64)
        for here, there in _BESIDE:
            border = index[here] != index[there]
            low = np.minimum(index[here], index[there])[border]
            row = np.searchsorted(keys, low * count + np.maximum(index[here], index[there])[border])
            both = values_HW[here][border] + values_HW[there][border]
            total += np.bincount(row, both / 2, len(keys))
        return total / self.border_E


def means(index_HW: Ints, area_S: Floats, values_HWC: npt.NDArray[Any]) -> Floats:
    """The mean of each region, float32 ``[S, C]``."""
    flat = index_HW.ravel()
    columns = values_HWC.reshape(flat.size, -1).T
    sums = [np.bincount(flat, column, len(area_S)) for column in columns]
    return (np.stack(sums, 1) / area_S[:, None]).astype(np.float32)


def picture(frame_HW3: Frame, size: tuple[int, int]) -> Picture:
    """Prepare a frame at ``size`` (rows, columns)."""
    height, width = size
    if frame_HW3.shape[:2] != size:
        small = cv2.resize(frame_HW3, (width, height), interpolation=cv2.INTER_AREA)
        frame_HW3 = small.astype(np.uint8)
    frame_HW3 = np.ascontiguousarray(frame_HW3)
    smooth = cv2.bilateralFilter(frame_HW3, 5, 12, 2).astype(np.uint8)
    lab = cv2.cvtColor(smooth, cv2.COLOR_RGB2Lab).astype(np.float32)
    lab = (lab - np.array([0, 128, 128], np.float32)) * np.array([100 / 255, 1, 1], np.float32)
    grey = cv2.cvtColor(frame_HW3, cv2.COLOR_RGB2GRAY).astype(np.uint8)
    rough = np.abs(lab - cv2.blur(lab, (3, 3))).sum(-1)
    return Picture(lab, grey, _regions(smooth, lab), float(np.median(rough)))


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
    pairs, border = _neighbours(index_HW)
    down, across = np.mgrid[: found.shape[0], : found.shape[1]].astype(np.float32)
    wide = cv2.GaussianBlur(lab_HW3, (0, 0), STEP)
    values = means(index_HW, area, np.dstack([lab_HW3, wide, across, down]))
    return Regions(index_HW, area, values[:, :3], values[:, 3:6], values[:, 6:], pairs, border)


def _neighbours(index_HW: Ints) -> tuple[Ints, Floats]:
    """Pairs of regions that touch, and how long their border is; in order of their numbers."""
    count = int(index_HW.max()) + 1
    keys = []
    for here, there in _BESIDE:
        first, second = index_HW[here], index_HW[there]
        border = first != second
        low = np.minimum(first, second)[border].astype(np.int64)
        keys.append(low * count + np.maximum(first, second)[border])
    pairs, length = np.unique(np.concatenate(keys), return_counts=True)
    return np.stack([pairs // count, pairs % count], 1).astype(np.int32), length.astype(np.float32)
