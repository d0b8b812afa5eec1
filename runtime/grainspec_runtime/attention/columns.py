"""The extremes of columns, which the pull along columns leads to.

For a key j of a strength κ_j > 0 they are the largest and the smallest of its scores s' (after the
pull along rows) over all queries: M_j and m_j of :mod:`grainspec_runtime.attention.operator`.

Dimensions: B batch, H heads, n queries of a block, M keys, d head size, C and K classes, J keys
that are pulled.
"""

from __future__ import annotations

import torch
from torch import Tensor

from grainspec_runtime.attention.blocks import rows_at_a_time
from grainspec_runtime.attention.call import AttentionCall
from grainspec_runtime.attention.class_order import MASKED, NEUTRAL, POSITIVE, SOFT


def pulled_classes(call: AttentionCall) -> Tensor:
    """Whether keys of a class are pulled along their columns, bool ``[K]``."""
    assert call.columns is not None
    pulled = call.columns > 0
    for others in (call.neutral, call.masked):
        if others is not None:
            pulled = pulled & ~others
    return pulled


def column_extremes(call: AttentionCall) -> tuple[Tensor, Tensor]:
    """M and m of every key, over all queries of a batch entry and head, on any device.

    Memory is linear in N and M; the work is that of the scores, a block of rows at a time.

    Args:
        call: with ``columns``.

    Returns:
        Two float32 tensors ``[B, H, M]``; 0 for the keys that are not pulled.
    """
    largest_BHM = call.key.new_zeros(call.key.shape[:3], dtype=torch.float32)
    smallest_BHM = torch.zeros_like(largest_BHM)
    signs, pulled_K = call.signs(), pulled_classes(call)
    for b, (query_labels, key_labels) in enumerate(zip(*call.labels(), strict=True)):
        modulated = _modulated(signs, key_labels)
        pulled = pulled_K[key_labels[modulated]].nonzero()[:, 0]  # places among the modulated
        if not len(pulled):
            continue
        places = modulated[pulled]
        largest_HJ, smallest_HJ = _of_entry(
            call, b, modulated, pulled, signs[:, key_labels[places]], query_labels
        )
        largest_BHM[b][:, places] = largest_HJ
        smallest_BHM[b][:, places] = smallest_HJ
    return largest_BHM, smallest_BHM


def _modulated(signs_CK: Tensor, key_labels_M: Tensor) -> Tensor:
    """The places of keys that are neither neutral nor masked, which their class alone decides."""
    sign_M = signs_CK[0, key_labels_M]
    return ((sign_M != NEUTRAL) & (sign_M != MASKED)).nonzero()[:, 0]


def _of_entry(
    call: AttentionCall,
    b: int,
    modulated: Tensor,
    pulled: Tensor,
    signs_CJ: Tensor,
    query_labels_N: Tensor,
) -> tuple[Tensor, Tensor]:
    k_Hdm = call.key[b][:, modulated].float().mT * call.scale
    shape = (call.heads, len(pulled))
    largest_HJ = k_Hdm.new_full(shape, -torch.inf)
    smallest_HJ = k_Hdm.new_full(shape, torch.inf)
    block = rows_at_a_time(call.query.device, call.heads * len(modulated))
    for first in range(0, call.queries, block):
        rows = slice(first, first + block)
        scores_Hnm = call.query[b][:, rows].float() @ k_Hdm
        sign_nJ = signs_CJ[query_labels_N[rows]]
        attract_n1, repel_n1 = call.attract[b, rows, None], call.repel[b, rows, None]
        soft_nJ = torch.where(sign_nJ == SOFT, repel_n1 * call.soft_share, repel_n1)
        s_HnJ = scores_Hnm[..., pulled]
        moved_HnJ = torch.where(
            sign_nJ == POSITIVE,
            s_HnJ + attract_n1 * (scores_Hnm.amax(-1, keepdim=True) - s_HnJ),
            s_HnJ + soft_nJ * (scores_Hnm.amin(-1, keepdim=True) - s_HnJ),
        )
        largest_HJ = torch.maximum(largest_HJ, moved_HnJ.amax(1))
        smallest_HJ = torch.minimum(smallest_HJ, moved_HnJ.amin(1))
    return largest_HJ, smallest_HJ
