"""Densities of colour, place and motion, and how labels spread between similar neighbours.

Dimensions: S regions, N samples, D features, K + 1 labels (0 is the background).
"""

from __future__ import annotations

import numpy as np

from grainspec_runtime.tracking.engines.colour.picture import Floats, Regions


def density(at_SD: Floats, samples_ND: Floats, weight_N: Floats) -> Floats:
    """Sum of Gaussians of σ = 1 around weighted samples: ``[S]``."""
    if not len(samples_ND):
        return np.zeros(len(at_SD), np.float32)
    apart = np.square(at_SD).sum(1)[:, None] + np.square(samples_ND).sum(1)
    apart -= 2 * at_SD @ samples_ND.T
    np.maximum(apart, 0, out=apart)
    apart *= -0.5
    return np.asarray(np.exp(apart, out=apart) @ weight_N)


def spread(
    regions: Regions, own_SK: Floats, bond_E: Floats, trust: float, rounds: int = 40
) -> Floats:
    """Labels that agree with ``own_SK`` and with neighbours: ``[S, K + 1]``, sums of 1.

    The fixed point of x = (trust · own + Σ bond · x of neighbours) / (trust + Σ bond), which is a
    random walk with restarts, after some rounds of Jacobi's method.
    """
    first, second = regions.pairs_E2.T
    count, labels = own_SK.shape
    ends, others = np.concatenate([first, second]), np.concatenate([second, first])
    order = np.argsort(ends, kind="stable")
    ends, others = ends[order], others[order]
    bond = np.concatenate([bond_E, bond_E])[order].astype(np.float32)
    total = trust + np.bincount(ends, bond, count).astype(np.float32)
    starts = np.flatnonzero(np.r_[True, ends[1:] != ends[:-1]])
    rows = ends[starts] if len(ends) else ends
    x = own_SK.astype(np.float32)
    for _ in range(rounds):
        pulled = trust * own_SK
        if len(ends):
            pulled[rows] += np.add.reduceat(bond[:, None] * x[others], starts, axis=0)
        x = pulled / total[:, None]
    del labels
    return np.asarray(x / np.maximum(x.sum(1, keepdims=True), 1e-9))
