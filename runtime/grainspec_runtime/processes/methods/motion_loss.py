"""How differently two clips move: a loss on spatial means of space-time features.

DMT (arXiv 2311.17009): the spatial marginal mean of features f is their mean over space, for each
frame i, SMM(f)_i; what moves is in the differences between frames, Δ_ij = SMM(f)_i − SMM(f)_j. The
loss of a clip against the source is, as in the paper's code,

    mean over pairs i ≠ j of 1 − cos(Δ_ij, Δ*_ij)

with the source's Δ*, and the sum over layers. It is 0 for the source itself. The paper's code also
counts the pairs i = j, whose Δ is 0 and which only add a constant 1/F. Pairs between which the
source does not change at all have no direction, and are left out.

With regions, the means are those over each region, and the loss is the mean over regions; pairs of
frames of which one lacks the region are left out.

Dimensions: R regions, F frames, C channels, h rows and w columns.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

Means = Mapping[str, Tensor]
"""Spatial means ``[R, F, C]`` by layer."""


def spatial_means(
    features: Mapping[str, Tensor], regions_RFhw: Tensor | None = None
) -> dict[str, Tensor]:
    """Return the mean of features ``[F, C, h, w]`` over space, ``[R, F, C]`` in float32.

    ``regions_RFhw`` are weights of each place, of any size, resized by area; None means one region,
    the frame. A region that a frame lacks has NaN there.
    """
    return {name: _means(layer.float(), regions_RFhw) for name, layer in features.items()}


def _means(features_FChw: Tensor, regions_RFhw: Tensor | None) -> Tensor:
    if regions_RFhw is None:
        return features_FChw.mean((-2, -1))[None]
    weights = F.interpolate(
        regions_RFhw.to(features_FChw), size=features_FChw.shape[-2:], mode="area"
    )
    total_RF1 = weights.sum((-2, -1))[..., None]
    sums_RFC = torch.einsum("rfhw,fchw->rfc", weights, features_FChw)
    return sums_RFC / torch.where(total_RF1 > 0, total_RF1, torch.nan)


def motion_loss(edited: Means, source: Means) -> Tensor:
    """Return the loss of a clip's means against the source's, a scalar with gradients."""
    return torch.stack([_loss(edited[name], source[name]) for name in source]).sum()


def _loss(edited_RFC: Tensor, source_RFC: Tensor) -> Tensor:
    """Return the loss of one layer."""
    losses = []
    for edited_FC, source_FC in zip(edited_RFC, source_RFC, strict=True):
        there = source_FC.isfinite().all(-1)
        mine, theirs = _differences(edited_FC[there]), _differences(source_FC[there])
        moves = theirs.square().sum(-1) > 0  # never of a frame with itself
        if bool(moves.any()):
            losses.append((1 - F.cosine_similarity(mine[moves], theirs[moves], dim=-1)).mean())
    return torch.stack(losses).mean() if losses else edited_RFC.new_zeros(())


def _differences(means_FC: Tensor) -> Tensor:
    """Return Δ_ij, ``[F, F, C]``."""
    return means_FC[:, None] - means_FC[None]
