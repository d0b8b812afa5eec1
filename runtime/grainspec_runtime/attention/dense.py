"""The operator written down as it is defined, in float64: slow, large, and trusted."""

from __future__ import annotations

import torch
from torch import Tensor


def dense(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    query_labels: Tensor,
    key_labels: Tensor,
    relation: Tensor,
    attract: Tensor,
    repel: Tensor,
    soft: Tensor | None,
    soft_share: float,
    scale: float,
) -> Tensor:
    """See :mod:`grainspec_runtime.attention.operator`; all labels and strengths are ``[B, …]``."""
    scores_BHNM = scale * (query.double() @ key.double().mT)
    largest = scores_BHNM.amax(-1, keepdim=True)
    smallest = scores_BHNM.amin(-1, keepdim=True)
    positive_BNM = relation[query_labels[:, :, None], key_labels[:, None, :]]
    attract_BHN1, repel_BHN1 = attract.double()[:, None, :, None], repel.double()[:, None, :, None]
    if soft is not None:
        shares_BM = torch.where(soft[key_labels], soft_share, 1.0)
        repel_BHN1 = repel_BHN1 * shares_BM[:, None, None]
    pulled = torch.where(
        positive_BNM[:, None],
        scores_BHNM + attract_BHN1 * (largest - scores_BHNM),
        scores_BHNM + repel_BHN1 * (smallest - scores_BHNM),
    )
    return (pulled.softmax(-1) @ value.double()).to(query.dtype)
