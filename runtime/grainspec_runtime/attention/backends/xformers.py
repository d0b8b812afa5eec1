"""The backend ``xformers``: plain attention of xFormers over the keys of one sign at a time.

Plain attention gives each sign's output and log-sum-exp, and equation (3) of
:mod:`grainspec_runtime.attention.operator` joins them.

A kernel takes one scale in a call, so there are up to three calls for every class and pair of
strengths: few, where strengths are those of a class and its frame, as a plan's are. The rows'
extremes are computed in a separate pass, in float32.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from grainspec_runtime.attention.backends.backend import Backend
from grainspec_runtime.attention.call import AttentionCall
from grainspec_runtime.attention.class_order import MASKED, NEGATIVE, NEUTRAL, POSITIVE, SOFT
from grainspec_runtime.attention.partial_result import Partials

BLOCK_ELEMENTS = 1 << 24
"""Scores held at a time to find the extremes (64 MiB in float32)."""


def run(call: AttentionCall) -> Tensor:
    """Equation (3), for each class and pair of strengths in turn."""
    call = _unsigned(call)
    out = torch.zeros_like(call.query)
    signs, (query_labels_BN, key_labels_BM) = call.signs(), call.labels()
    for b in range(call.batch):
        kinds_K3, kind_N = _kinds(query_labels_BN[b], call.attract[b], call.repel[b])
        for index, (label, attract, repel) in enumerate(kinds_K3.tolist()):
            rows = (kind_N == index).nonzero()[:, 0]
            q_Hnd = call.query[b][:, rows]
            if label < 0:
                present = (signs[0, key_labels_BM[b]] != MASKED).nonzero()[:, 0]
                if len(present):
                    k_Hmd, v_Hmd = call.key[b][:, present], call.value[b][:, present]
                    out[b][:, rows] = plain_attention(q_Hnd, k_Hmd, v_Hmd, call.scale)[0]
                continue
            sign_M = signs[int(label)][key_labels_BM[b]]
            part = _partials_of_kind(call, b, q_Hnd, sign_M, attract, repel)
            up, down = call.attract[b, rows], call.repel[b, rows]
            modulated, _ = part.finished(up, down, call.soft_share)
            out[b][:, rows] = modulated[0].to(out.dtype)
    return out


def partials(call: AttentionCall) -> Partials:
    """The terms of equation (3)."""
    call = _unsigned(call)
    result = Partials.empty(call.query, call.present)
    signs, (query_labels_BN, key_labels_BM) = call.signs(), call.labels()
    for b in range(call.batch):
        strengths = call.attract[b], call.repel[b]
        kinds_K3, kind_N = _kinds(query_labels_BN[b], *strengths, join_plain=False)
        for index, (label, attract, repel) in enumerate(kinds_K3.tolist()):
            rows = (kind_N == index).nonzero()[:, 0]
            sign_M = signs[int(label)][key_labels_BM[b]]
            part = _partials_of_kind(call, b, call.query[b][:, rows], sign_M, attract, repel)
            result.outputs_SBHNd[:, b][:, :, rows] = part.outputs_SBHNd[:, 0]
            result.log_sums_SBHN[:, b][:, :, rows] = part.log_sums_SBHN[:, 0]
            result.largest_BHN[b][:, rows] = part.largest_BHN[0]
            result.smallest_BHN[b][:, rows] = part.smallest_BHN[0]
    return result


def _unsigned(call: AttentionCall) -> AttentionCall:
    """The call without a negative scale: kernels may take the larger product for the larger."""
    return replace(call, query=-call.query, scale=-call.scale) if call.scale < 0 else call


def _kinds(
    labels_N: Tensor, attract_N: Tensor, repel_N: Tensor, *, join_plain: bool = True
) -> tuple[Tensor, Tensor]:
    """Distinct (label, λ⁺, λ⁻), ``[K, 3]``, and each query's index; unmodulated rows have -1s."""
    kinds_N3 = torch.stack([labels_N.double(), attract_N.double(), repel_N.double()], 1)
    if join_plain:
        plain_N = (attract_N == 0) & (repel_N == 0)
        kinds_N3 = kinds_N3.masked_fill(plain_N[:, None], -1.0)
    kinds_K3, kind_N = kinds_N3.unique(dim=0, return_inverse=True)
    return kinds_K3, kind_N


def _partials_of_kind(
    call: AttentionCall, b: int, q_Hnd: Tensor, sign_M: Tensor, attract: float, repel: float
) -> Partials:
    """Those of queries of one class and one λ for each sign, as a batch of one."""
    result = Partials.empty(q_Hnd[None], call.present)
    key, value, scale = call.key[b], call.value[b], call.scale
    strengths = {POSITIVE: attract, NEGATIVE: repel, SOFT: repel * call.soft_share, NEUTRAL: 0.0}
    for index, sign in enumerate(call.present):
        keys = (sign_M == sign).nonzero()[:, 0]
        if len(keys):
            o_Hnd, l_Hn = plain_attention(
                q_Hnd, key[:, keys], value[:, keys], (1 - strengths[sign]) * scale
            )
            result.outputs_SBHNd[index, 0] = o_Hnd
            result.log_sums_SBHN[index, 0] = l_Hn
    modulated = ((sign_M != NEUTRAL) & (sign_M != MASKED)).nonzero()[:, 0]
    if len(modulated):
        largest_Hn, smallest_Hn = _extremes(q_Hnd, key[:, modulated], scale)
        result.largest_BHN[0] = largest_Hn
        result.smallest_BHN[0] = smallest_Hn
    return result


def _extremes(q_Hnd: Tensor, k_Hmd: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """The largest and the smallest score of every row, float32 ``[H, n]``."""
    block = max(1, BLOCK_ELEMENTS // (k_Hmd.shape[0] * k_Hmd.shape[1]))
    k_Hdm = k_Hmd.float().mT * scale
    found = [(q.float() @ k_Hdm).aminmax(dim=-1) for q in q_Hnd.split(block, 1)]
    return torch.cat([f.max for f in found], 1), torch.cat([f.min for f in found], 1)


def plain_attention(
    q_Hnd: Tensor, k_Hmd: Tensor, v_Hmd: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """Plain attention by xFormers, which picks among its kernels.

    Returns:
        The output ``[H, n, d]``, and the log-sum-exp of each row's scores, float32 ``[H, n]``.
    """
    from xformers.ops import fmha

    q, k, v = (tensor.transpose(0, 1)[None] for tensor in (q_Hnd, k_Hmd, v_Hmd))
    out, lse = fmha.memory_efficient_attention_partial(q, k, v, scale=scale)
    return out[0].transpose(0, 1), lse[0, :, : q.shape[1]].float()


@cache
def probe(device: torch.device, dtype: torch.dtype, width: int) -> str | None:
    """Why xFormers cannot run; None if it can. Found by a small call: an import proves nothing."""
    sample = torch.zeros(1, 8, width, device=device, dtype=dtype)
    try:
        plain_attention(sample, sample, sample, 1.0)
    except ModuleNotFoundError as error:
        return f"xFormers is not installed ({error})"
    except Exception as error:  # of many kinds, with messages of many lines
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"xFormers does not support this device, dtype and head size ({first_line})"
    return None


BACKEND = Backend(
    "xformers",
    run,
    features=frozenset({"soft", "neutral", "masked"}),
    partials=partials,
    probe=probe,
)
