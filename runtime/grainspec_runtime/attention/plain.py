"""Plain attention to some keys, in a form that joins with that to others.

Dimensions: P passes, H heads, n queries, m keys, d head size.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend

from grainspec_runtime.attention.partial_result import Part
from grainspec_runtime.attention.partials import attention_partials


def plain_part(query: Tensor, key: Tensor, value: Tensor) -> Part:
    """Compute attention to these keys alone, and the log-sum-exp of its scores, both float32.

    ``attention.partial_result.joined`` joins it with that to other keys. query ``[P, H, n, d]``;
    key and value ``[P, H, m, d]``, perhaps with n or m of 0. It is cuDNN's attention where torch
    prefers that, flash attention where that can run, and elsewhere the operator's partial results
    without modulation. torch's public attention returns no log-sum-exp.

    >>> one, two = torch.zeros(1, 1, 1, 8), torch.full((1, 1, 1, 8), 2.0)
    >>> out, log_sum = plain_part(one, torch.cat([one, one], 2), torch.cat([one, two], 2))
    >>> out[0, 0, 0, 0].item(), round(log_sum.exp().item(), 4)
    (1.0, 2.0)
    """
    if _fits(query, key):
        if torch._fused_sdp_choice(query, key, value) == SDPBackend.CUDNN_ATTENTION.value:
            cudnn = torch.ops.aten._scaled_dot_product_cudnn_attention
            out, log_sum, *_ = cudnn(query, key, value, None, True)
            return out.float(), log_sum.reshape(query.shape[:3])
        asked = torch.backends.cuda.SDPAParams(query, key, value, None, 0.0, False, False)
        if torch.backends.cuda.can_use_flash_attention(asked):
            flash = torch.ops.aten._scaled_dot_product_flash_attention
            out, log_sum, *_ = flash(query, key, value)
            return out.float(), log_sum
    queries, keys = query.shape[2], key.shape[2]
    zeros_n = query.new_zeros(queries, dtype=torch.float32)
    parts = attention_partials(
        query,
        key,
        value,
        query_labels=zeros_n.long(),
        key_labels=torch.zeros(keys, dtype=torch.long, device=key.device),
        relation=torch.ones(1, 1, dtype=torch.bool, device=key.device),
        attract=zeros_n,
        repel=zeros_n,
    )
    return parts.finished(zeros_n, zeros_n)


def _fits(query: Tensor, key: Tensor) -> bool:
    """Whether torch's fused attentions may take them."""
    if query.device.type != "cuda" or not query.numel() or not key.numel():
        return False
    return query.shape[3] % 8 == 0  # others are padded by torch's public function only
