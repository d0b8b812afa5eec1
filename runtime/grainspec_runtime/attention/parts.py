"""The operator by plain attention over the keys of one sign at a time: the backend ``xformers``.

Among the keys of one sign the pull is a temperature and a constant, so plain attention with the
scale ``(1 − λ) · scale`` gives that sign's output o and log-sum-exp l, and the row's result is

    out = (w⁺ o⁺ + w⁻ o⁻) / (w⁺ + w⁻),   w⁺ = exp(l⁺ + λ⁺ mx),   w⁻ = exp(l⁻ + λ⁻ mn)

and with a third term like the second where keys are soft.

A kernel takes one scale in a call, so there are two calls for every class and pair of strengths:
few, where strengths are those of a class and its frame, as a plan's are. The extremes mx and mn
take a pass of their own, in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from grainspec_runtime.attention.class_order import NEGATIVE, POSITIVE, SOFT, signs_of

BLOCK_ELEMENTS = 1 << 24
"""Scores held at a time to find the extremes (64 MiB in float32)."""

Part = Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]]
"""Plain attention of ``[H, n, d]`` to ``[H, m, d]`` with a scale: the output and, float32
``[H, n]``, the log-sum-exp of its scores."""


def by_parts(
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
    part: Part,
) -> Tensor:
    """See :mod:`grainspec_runtime.attention.operator`; all labels and strengths are ``[B, …]``."""
    if scale < 0:  # a kernel may take the larger product for the larger score
        query, scale = -query, -scale
    out = torch.empty_like(query)
    signs = signs_of(relation, soft)
    for b in range(len(query)):
        kinds_N3 = torch.stack(
            [query_labels[b].double(), attract[b].double(), repel[b].double()], 1
        )
        plain_N = (attract[b] == 0) & (repel[b] == 0)
        kinds_N3 = kinds_N3.masked_fill(plain_N[:, None], -1.0)
        kinds_K3, kind_N = kinds_N3.unique(dim=0, return_inverse=True)
        for index, (label, up, down) in enumerate(kinds_K3.tolist()):
            rows = (kind_N == index).nonzero()[:, 0]
            q_Hnd = query[b][:, rows]
            if label < 0:
                out[b][:, rows] = part(q_Hnd, key[b], value[b], scale)[0]
                continue
            sign_M = signs[int(label)][key_labels[b]]
            largest_Hn, smallest_Hn = _extremes(q_Hnd, key[b], scale)
            parts = []
            for sign, pull, extreme_Hn in (
                (POSITIVE, up, largest_Hn),
                (NEGATIVE, down, smallest_Hn),
                (SOFT, down * soft_share, smallest_Hn),
            ):
                keys = (sign_M == sign).nonzero()[:, 0]
                if len(keys):
                    o_Hnd, l_Hn = part(
                        q_Hnd, key[b][:, keys], value[b][:, keys], (1 - pull) * scale
                    )
                    parts.append((o_Hnd.float(), l_Hn + pull * extreme_Hn))
            weights = torch.stack([weight for _, weight in parts]).softmax(0)
            total = sum(w[..., None] * o for w, (o, _) in zip(weights, parts, strict=True))
            out[b][:, rows] = total.to(out.dtype)  # type: ignore[union-attr]
    return out


def _extremes(q_Hnd: Tensor, k_Hmd: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """The largest and the smallest score of every row, float32 ``[H, n]``."""
    block = max(1, BLOCK_ELEMENTS // (k_Hmd.shape[0] * k_Hmd.shape[1]))
    k_Hdm = k_Hmd.float().mT * scale
    found = [(q.float() @ k_Hdm).aminmax(dim=-1) for q in q_Hnd.split(block, 1)]
    return torch.cat([f.max for f in found], 1), torch.cat([f.min for f in found], 1)


def xformers_part(
    q_Hnd: Tensor, k_Hmd: Tensor, v_Hmd: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """A :data:`Part` by xFormers, which picks among its kernels."""
    from xformers.ops import fmha

    q, k, v = (tensor.transpose(0, 1)[None] for tensor in (q_Hnd, k_Hmd, v_Hmd))
    out, lse = fmha.memory_efficient_attention_partial(q, k, v, scale=scale)
    return out[0].transpose(0, 1), lse[0, :, : q.shape[1]].float()


@cache
def why_no_xformers(device: torch.device, dtype: torch.dtype, width: int) -> str | None:
    """What keeps xFormers from running; None if nothing does. Importing it proves nothing."""
    sample = torch.zeros(1, 8, width, device=device, dtype=dtype)
    try:
        xformers_part(sample, sample, sample, 1.0)
    except ModuleNotFoundError as error:
        return f"xFormers is not installed ({error})"
    except Exception as error:  # of many kinds, and many lines
        return f"xFormers has no operator for this ({str(error).strip().splitlines()[0]})"
    return None
