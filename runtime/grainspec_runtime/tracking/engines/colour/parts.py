"""Parts of a frame: neighbouring regions of almost the same colour, and what is connected."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grainspec_runtime.tracking.engines.colour.picture import Floats, Ints, Regions

Bools = npt.NDArray[np.bool_]

CLOSEST, CLOSE, NOISE = 1.0, 3.0, 3.0
"""How far neighbours may be apart in Lab to be joined: without noise, at most, and how much it
grows with noise. The two halves of a part may be twice as far apart."""


def parts(regions: Regions, noise: float) -> Ints:
    """The number of each region's part, ``[S]``; the most similar neighbours are joined first."""
    near = min(CLOSE, CLOSEST + NOISE * noise)
    first, second = regions.pairs_E2.T
    gap = np.linalg.norm(regions.lab_S3[first] - regions.lab_S3[second], axis=1)
    parent = list(range(len(regions)))
    mean, area = regions.lab_S3.astype(np.float64), regions.area_S.astype(np.float64)

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for edge in np.argsort(gap, kind="stable"):
        if gap[edge] > near:
            break
        i, j = root(int(first[edge])), root(int(second[edge]))
        if i != j and float(np.square(mean[i] - mean[j]).sum()) <= (2 * near) ** 2:
            mean[i] = (mean[i] * area[i] + mean[j] * area[j]) / (area[i] + area[j])
            area[i] += area[j]
            parent[j] = i
    roots = [root(i) for i in range(len(regions))]
    return np.unique(roots, return_inverse=True)[1].astype(np.int32)


def pooled(component_S: Ints, area_S: Floats, values_SD: Floats) -> Floats:
    """The mean over each region's part, weighted by area, ``[S, D]``."""
    area = np.bincount(component_S, area_S)
    means = [np.bincount(component_S, area_S * column) / area for column in values_SD.T]
    return np.stack(means, 1)[component_S]


def connected(regions: Regions, where_S: Bools, seeds_S: Bools) -> Bools:
    """Those of ``where_S`` that are connected to a seed."""
    first, second = regions.pairs_E2[where_S[regions.pairs_E2].all(1)].T
    reached = where_S & seeds_S
    while True:
        before = int(reached.sum())
        both = reached[first] | reached[second]
        reached[first[both]] = True
        reached[second[both]] = True
        if int(reached.sum()) == before:
            return reached
