"""Plain attention to some keys, in a form that joins with that to others.

Dimensions: P passes, H heads, n queries, m keys, d head size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from grainspec_runtime.attention.partial_result import Part
from grainspec_runtime.attention.partials import attention_partials


def plain_part(query: Tensor, key: Tensor, value: Tensor) -> Part:
    """Compute attention to these keys alone, and the log-sum-exp of its scores, both float32.

    ``attention.partial_result.joined`` joins it with that to other keys. query ``[P, H, n, d]``;
    key and value ``[P, H, m, d]``, perhaps with n or m of 0. It is torch's flash attention where
    that can run, and elsewhere the operator's partial results without modulation. torch's public
    attention returns no log-sum-exp.

    >>> one, two = torch.zeros(1, 1, 1, 8), torch.full((1, 1, 1, 8), 2.0)
    >>> out, log_sum = plain_part(one, torch.cat([one, one], 2), torch.cat([one, two], 2))
    >>> out[0, 0, 0, 0].item(), round(log_sum.exp().item(), 4)
    (1.0, 2.0)
    """
    if _by_flash(query, key, value):
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


def _by_flash(query: Tensor, key: Tensor, value: Tensor) -> bool:
    if query.device.type != "cuda" or not query.numel() or not key.numel():
        return False
    asked = torch.backends.cuda.SDPAParams(query, key, value, None, 0.0, False, False)
    # a head size that is not a multiple of 8 is padded by torch's public function only
    return query.shape[3] % 8 == 0 and torch.backends.cuda.can_use_flash_attention(asked)
