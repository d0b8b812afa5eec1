"""The backend ``rows``: a block of query rows at a time, exact, on any device.

Queries and keys are sorted by class, so that all rows of a block have one class, and the keys of
one sign for that class are a few slices of the row. Modulating a slice is then one operation in
place, and no mask is built. Memory beyond inputs and output is O(N + M) plus one block of scores.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from grainspec_runtime.attention.backends.backend import Backend
from grainspec_runtime.attention.call import AttentionCall
from grainspec_runtime.attention.class_order import NEGATIVE, POSITIVE, signs_of

BLOCK_ELEMENTS = 1 << 19
"""Scores held at a time (2 MiB in float32): small enough for a CPU's cache."""

Slice = tuple[int, int, int]
"""Start, end and sign of a run of keys."""


def run(call: AttentionCall) -> Tensor:
    """Equation (2) of :mod:`grainspec_runtime.attention.operator`, in float32."""
    out = torch.empty_like(call.query)
    signs = signs_of(call.relation, call.soft).cpu()
    query_labels_BN, key_labels_BM = call.labels()
    for b in range(call.batch):
        out[b] = _batch_entry(call, b, query_labels_BN[b], key_labels_BM[b], signs)
    return out


def _batch_entry(
    call: AttentionCall, b: int, query_labels_N: Tensor, key_labels_M: Tensor, signs: Tensor
) -> Tensor:
    query_HNd, key_HMd, value_HMd = call.query[b], call.key[b], call.value[b]
    query_order = query_labels_N.argsort(stable=True)
    key_order = key_labels_M.argsort(stable=True)
    query_runs = _runs(query_labels_N[query_order])
    key_runs = _runs(key_labels_M[key_order])
    attract_N1 = call.attract[b][query_order, None]
    repel_N1 = call.repel[b][query_order, None]
    modulated_N1 = (attract_N1 != 0) | (repel_N1 != 0)
    plain = {label for label, start, end in query_runs if not modulated_N1[start:end].any()}
    slices = {label: _signed_slices(key_runs, signs[label]) for label, _, _ in query_runs}
    block = max(16, BLOCK_ELEMENTS // len(key_order))
    scores_nM = query_HNd.new_empty(min(block, len(query_order)), len(key_order)).float()
    out = torch.empty_like(query_HNd)
    for head in range(len(query_HNd)):  # copies of one head at a time are small
        query = query_HNd[head, query_order]
        key, value = key_HMd[head, key_order], value_HMd[head, key_order]
        key_dM, value_Md = key.float().mT.contiguous(), value.float()
        sorted_out = torch.empty_like(query)
        for label, start, end in query_runs:
            if label in plain:
                # four dimensions: with three, torch builds the whole score matrix
                part = F.scaled_dot_product_attention(
                    query[None, None, start:end],
                    key[None, None],
                    value[None, None],
                    scale=call.scale,
                )
                sorted_out[start:end] = part[0, 0]
                continue
            for first in range(start, end, block):
                last = min(first + block, end)
                scores = scores_nM[: last - first]
                torch.mm(query[first:last].float() * call.scale, key_dM, out=scores)
                # With the row's maximum at zero a positive score only shrinks: no large numbers
                # cancel, whatever the strength.
                scores.sub_(scores.amax(-1, keepdim=True))
                smallest = scores.amin(-1, keepdim=True)
                up, down = attract_N1[first:last], repel_N1[first:last]
                for low, high, sign in slices[label]:
                    # by plain products and sums: lerp_ and aminmax take ten times as long
                    if sign == POSITIVE:
                        scores[:, low:high].mul_(1 - up)
                    else:
                        pull = down if sign == NEGATIVE else down * call.soft_share
                        scores[:, low:high].mul_(1 - pull).add_(pull * smallest)
                torch.softmax(scores, -1, out=scores)
                sorted_out[first:last] = torch.mm(scores, value_Md).to(out.dtype)
        out[head, query_order] = sorted_out
    return out


def _runs(sorted_labels: Tensor) -> list[tuple[int, int, int]]:
    """Label, start and end of every run of equal labels."""
    labels, counts = sorted_labels.unique_consecutive(return_counts=True)
    ends = counts.cumsum(0)
    starts = ends - counts
    return list(zip(labels.tolist(), starts.tolist(), ends.tolist(), strict=True))


def _signed_slices(key_runs: list[tuple[int, int, int]], signs: Tensor) -> list[Slice]:
    """The key runs, neighbours of one sign joined."""
    slices: list[Slice] = []
    for label, start, end in key_runs:
        sign = int(signs[label])
        if slices and slices[-1][2] == sign:
            slices[-1] = (slices[-1][0], end, sign)
        else:
            slices.append((start, end, sign))
    return slices


BACKEND = Backend("rows", run, features=frozenset({"soft"}))
