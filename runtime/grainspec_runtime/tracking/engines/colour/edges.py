"""Which parts of a frame move with an object and which with the background, judged by their edges.

Optical flow is only known where something changes: a flat area has the motion of whatever lies
beside it. An edge moves with what is in front, so the parts of an object have edges that move with
it all round, while a part of the background has some that do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grainspec_runtime.tracking.engines.colour.appearance import density
from grainspec_runtime.tracking.engines.colour.picture import Floats, Ints, Regions

VISIBLE = 5.0
"""An edge differs by more than this in Lab."""


NOVEL = 0.1


@dataclass(frozen=True)
class Edges:
    """The visible borders of components. pair_N2: the regions; length_N; motion_ND; at_N2."""

    pair_N2: Ints
    length_N: Floats
    motion_ND: Floats
    at_N2: Floats


def edges(regions: Regions, component_S: Ints, motion_HWD: Floats) -> Edges:
    """Find the borders between components, and how they move."""
    first, second = regions.pairs_E2.T
    step = np.linalg.norm(regions.lab_S3[first] - regions.lab_S3[second], axis=1)
    chosen = (step > VISIBLE) & (component_S[first] != component_S[second])
    moved = _means(regions, motion_HWD)[chosen]
    pairs = regions.pairs_E2[chosen]
    return Edges(pairs, regions.border_E[chosen], moved, regions.xy_S2[pairs].mean(1))


def _means(regions: Regions, values_HWD: Floats) -> Floats:
    """The mean over the border of each pair, ``[E, D]``."""
    count = len(regions)
    first, second = regions.pairs_E2.astype(np.int64).T
    keys = first * count + second
    total = np.zeros((len(keys), values_HWD.shape[-1]))
    index = regions.index_HW.astype(np.int64)
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1, :], np.s_[1:, :])):
        a, b = index[here], index[there]
        border = a != b
        key = np.minimum(a, b)[border] * count + np.maximum(a, b)[border]
        row = np.searchsorted(keys, key)
        values = (values_HWD[here][border] + values_HWD[there][border]) / 2
        for d in range(values.shape[-1]):
            total[:, d] += np.bincount(row, values[:, d], len(keys))
    return (total / regions.border_E[:, None]).astype(np.float32)


def moving_with_ground(
    found: Edges, component_S: Ints, ground_N: Floats, sigma: float, place: float
) -> Floats:
    """The share of each region's component's edges that moves with the background, ``[S]``.

    ground_N: the chance of each edge to be the background's.
    """
    motion = found.motion_ND / sigma
    where = found.at_N2 / place
    nearby = np.concatenate([motion, where], 1)
    weight = ground_N * found.length_N
    ground = density(nearby, nearby, weight) / (density(where, where, weight) + 1e-6)
    likely = ground / (ground + NOVEL)
    components = int(component_S.max()) + 1
    total, share = np.full(components, 2.0), np.full(components, 1.0)
    for side in (0, 1):
        owner = component_S[found.pair_N2[:, side]]
        total += np.bincount(owner, found.length_N, components)
        share += np.bincount(owner, found.length_N * likely, components)
    return (share / total)[component_S].astype(np.float32)
