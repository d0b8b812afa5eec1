"""The operator a block of query rows at a time: exact, small, and at home on any device.

Queries and keys are sorted by class, so that all rows of a block have one class and the positive
keys of that class are a few slices of the row. Pulling a slice to its row's extreme is then one
operation in place, and no mask is ever built. Memory beyond inputs and output is O(N + M) plus one
block of scores.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK_ELEMENTS = 1 << 19
"""Scores held at a time (2 MiB in float32): small enough for a CPU's cache."""

Slice = tuple[int, int, bool]
"""Start, end and sign of a run of keys."""


def rows(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    query_labels: Tensor,
    key_labels: Tensor,
    relation: Tensor,
    attract: Tensor,
    repel: Tensor,
    scale: float,
) -> Tensor:
    """See :mod:`grainspec_runtime.attention.operator`; all labels and strengths are ``[B, …]``."""
    out = torch.empty_like(query)
    for b in range(query.shape[0]):
        out[b] = _rows_of_one(
            query[b],
            key[b],
            value[b],
            query_labels[b],
            key_labels[b],
            relation,
            attract[b],
            repel[b],
            scale,
        )
    return out


def _rows_of_one(
    query_HNd: Tensor,
    key_HMd: Tensor,
    value_HMd: Tensor,
    query_labels_N: Tensor,
    key_labels_M: Tensor,
    relation: Tensor,
    attract_N: Tensor,
    repel_N: Tensor,
    scale: float,
) -> Tensor:
    heads = query_HNd.shape[0]
    keys = key_HMd.shape[1]
    query_order = query_labels_N.argsort(stable=True)
    key_order = key_labels_M.argsort(stable=True)
    key_runs = _runs(key_labels_M[key_order])
    signs = relation.cpu()
    sorted_query = query_HNd[:, query_order]
    sorted_key = key_HMd[:, key_order]
    sorted_value = value_HMd[:, key_order]
    key_HdM = sorted_key.float().mT.contiguous()
    value_fp32 = sorted_value.float()
    attract_N, repel_N = attract_N[query_order], repel_N[query_order]
    modulated_N = (attract_N != 0) | (repel_N != 0)
    block = max(16, BLOCK_ELEMENTS // (heads * keys))
    out = torch.empty_like(sorted_query)
    for label, start, end in _runs(query_labels_N[query_order]):
        if not bool(modulated_N[start:end].any()):
            # four dimensions: with three, torch builds the whole score matrix
            part = F.scaled_dot_product_attention(
                sorted_query[None, :, start:end], sorted_key[None], sorted_value[None], scale=scale
            )
            out[:, start:end] = part[0]
            continue
        slices = _signed_slices(key_runs, signs[label])
        for first in range(start, end, block):
            last = min(first + block, end)
            scores = (sorted_query[:, first:last].float() * scale) @ key_HdM
            # Softmax does not mind a shift by the row's maximum, and with the maximum at zero a
            # positive score only shrinks: no large numbers cancel, whatever the strength.
            scores.sub_(scores.amax(-1, keepdim=True))
            smallest = scores.amin(-1, keepdim=True)
            up, down = attract_N[None, first:last, None], repel_N[None, first:last, None]
            for low, high, positive in slices:
                if positive:
                    scores[:, :, low:high].mul_(1 - up)
                else:
                    scores[:, :, low:high].lerp_(smallest, down)
            out[:, first:last] = (scores.softmax(-1) @ value_fp32).to(out.dtype)
    unsorted = torch.empty_like(out)
    unsorted[:, query_order] = out
    return unsorted


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
        positive = bool(signs[label])
        if slices and slices[-1][2] == positive:
            slices[-1] = (slices[-1][0], end, positive)
        else:
            slices.append((start, end, positive))
    return slices
