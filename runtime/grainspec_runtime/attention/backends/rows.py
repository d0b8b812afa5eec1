"""The backend ``rows``: a block of query rows at a time, exact, on any device.

Queries and keys are sorted by class, so that all rows of a block have one class, and the keys of
one sign for that class are a few slices of the row. Modulating a slice is then one operation in
place, and no mask is built. Masked keys are left out, and neutral ones come last: a row's extremes
are those of its beginning. Memory beyond inputs and output is O(N + M) plus one block of scores.

Dimensions: B batch, H heads, N queries, M keys, n queries of a block, d head size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from grainspec_runtime.attention.backends.backend import Backend
from grainspec_runtime.attention.blocks import rows_at_a_time
from grainspec_runtime.attention.call import FEATURES, AttentionCall
from grainspec_runtime.attention.class_order import NEGATIVE, NEUTRAL, POSITIVE, SOFT
from grainspec_runtime.attention.columns import column_extremes, pulled_classes
from grainspec_runtime.attention.partial_result import Partials

Run = tuple[int, int, int]
"""Label, start and end of a run of equal labels."""

Slice = tuple[int, int, int]
"""Start, end and sign of a run of keys."""

Pull = tuple[int, int, float, int]
"""Start, end, κ and sign of a run of keys that are pulled along their columns."""

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class _Entry:
    """Queries and keys of one batch entry in the order of their classes, without masked keys.

    ``modulated`` is the number of keys that are not neutral; they come first. ``signs`` are those
    of every pair of classes.
    """

    query_order: Tensor
    query_runs: list[Run]
    key_order: Tensor
    key_runs: list[Run]
    modulated: int
    signs: Tensor
    slices: dict[int, list[Slice]]
    attract_N1: Tensor
    repel_N1: Tensor

    def plain(self) -> set[int]:
        """The classes of queries whose rows are plain attention."""
        modulated_N1 = (self.attract_N1 != 0) | (self.repel_N1 != 0)
        return {
            label
            for label, start, end in self.query_runs
            if not self.modulated or not modulated_N1[start:end].any()
        }

    def blocks(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Runs of rows whose scores may be held at a time."""
        block = rows_at_a_time(self.key_order.device, len(self.key_order))
        for first in range(start, end, block):
            yield first, min(first + block, end)

    def buffer(self, query: Tensor) -> Tensor:
        """Room for the scores of a block, float32."""
        keys = len(self.key_order)
        rows = min(rows_at_a_time(query.device, keys), len(self.query_order))
        return query.new_empty(rows, keys, dtype=torch.float32)


def run(call: AttentionCall) -> Tensor:
    """Equations (2) and (4) of :mod:`grainspec_runtime.attention.operator`, in float32."""
    out = torch.empty_like(call.query)
    columns = None if call.columns is None else column_extremes(call)
    for b, entry in enumerate(_entries(call)):
        if not len(entry.key_order):
            out[b] = 0
            continue
        out[b] = _batch_entry(call, b, entry, columns)
    return out


def _entries(call: AttentionCall) -> Iterator[_Entry]:
    signs = call.signs().cpu()
    for b, (query_labels_N, key_labels_M) in enumerate(zip(*call.labels(), strict=True)):
        query_order = query_labels_N.argsort(stable=True)
        key_order, modulated = _key_order(call, key_labels_M)
        query_runs = _runs(query_labels_N[query_order])
        key_runs = _runs(key_labels_M[key_order])
        yield _Entry(
            query_order,
            query_runs,
            key_order,
            key_runs,
            modulated,
            signs,
            {label: _signed_slices(key_runs, signs[label]) for label, _, _ in query_runs},
            call.attract[b][query_order, None],
            call.repel[b][query_order, None],
        )


def _key_order(call: AttentionCall, labels_M: Tensor) -> tuple[Tensor, int]:
    """The keys by class without masked ones, neutral ones last, and how many come before them."""
    rank_M, neutral_M = labels_M, torch.zeros_like(labels_M, dtype=torch.bool)
    if call.neutral is not None:
        neutral_M = call.neutral[labels_M]
        rank_M = labels_M + len(call.neutral) * neutral_M
    order = rank_M.argsort(stable=True)
    if call.masked is not None:
        order = order[~call.masked[labels_M[order]]]
    return order, len(order) - int(neutral_M[order].sum())


def _batch_entry(
    call: AttentionCall, b: int, entry: _Entry, columns: tuple[Tensor, Tensor] | None
) -> Tensor:
    query_order, key_order = entry.query_order, entry.key_order
    plain = entry.plain()
    pulls = {} if columns is None else _pulls(call, entry)
    if pulls:
        plain = set()
    scores_nM = entry.buffer(call.query)
    out = torch.empty_like(call.query[b])
    for head in range(call.heads):  # copies of one head at a time are small
        query = call.query[b, head, query_order]
        key, value = call.key[b, head, key_order], call.value[b, head, key_order]
        key_dM, value_Md = key.float().mT.contiguous(), value.float()
        if columns is not None:
            ends = columns[0][b, head, key_order], columns[1][b, head, key_order]
        sorted_out = torch.empty_like(query)
        for label, start, end in entry.query_runs:
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
            slices = entry.slices[label]
            for first, last in entry.blocks(start, end):
                scores = scores_nM[: last - first]
                torch.mm(query[first:last].float() * call.scale, key_dM, out=scores)
                largest_n1 = _modulate(call, entry, scores, slices, first, last)
                if pulls:
                    _pull(scores, largest_n1, pulls[label], ends)
                torch.softmax(scores, -1, out=scores)
                sorted_out[first:last] = torch.mm(scores, value_Md).to(out.dtype)
        out[head, query_order] = sorted_out
    return out


def _modulate(
    call: AttentionCall, entry: _Entry, scores: Tensor, slices: list[Slice], first: int, last: int
) -> Tensor:
    """Move the scores of rows ``first`` to ``last``, less the row's maximum, which is returned."""
    # With the row's maximum at zero a positive score only shrinks: no large numbers cancel,
    # whatever the strength.
    largest = scores[:, : entry.modulated].amax(-1, keepdim=True)
    scores.sub_(largest)
    smallest = scores[:, : entry.modulated].amin(-1, keepdim=True)
    up, down = entry.attract_N1[first:last], entry.repel_N1[first:last]
    for low, high, sign in slices:
        # by plain products and sums: lerp_ and aminmax take ten times as long
        if sign == POSITIVE:
            scores[:, low:high].mul_(1 - up)
        elif sign != NEUTRAL:
            pull = down if sign == NEGATIVE else down * call.soft_share
            scores[:, low:high].mul_(1 - pull).add_(pull * smallest)
    return largest


def _pulls(call: AttentionCall, entry: _Entry) -> dict[int, list[Pull]]:
    """What is pulled along columns in the rows of each class; empty where nothing is."""
    assert call.columns is not None
    strengths = torch.where(pulled_classes(call), call.columns, 0.0).tolist()
    runs = [run for run in entry.key_runs if strengths[run[0]]]
    return {
        label: [
            (start, end, *kind)
            for start, end, kind in _joined(
                (start, end, (strengths[of_keys], int(entry.signs[label, of_keys])))
                for of_keys, start, end in runs
            )
        ]
        for label, _, _ in entry.query_runs
        if runs
    }


def _pull(
    scores: Tensor, largest_n1: Tensor, pulls: list[Pull], ends: tuple[Tensor, Tensor]
) -> None:
    """Move scores, which are less their row's maximum, towards their columns' ends, (M, m)."""
    largest_M, smallest_M = ends
    for start, end, strength, sign in pulls:
        towards = (largest_M if sign == POSITIVE else smallest_M)[start:end]
        scores[:, start:end].mul_(1 - strength).add_(strength * (towards - largest_n1))


def partials(call: AttentionCall) -> Partials:
    """The terms of equation (3), in float32."""
    result = Partials.empty(call.query, call.present)
    for b, entry in enumerate(_entries(call)):
        if len(entry.key_order):
            for head in range(call.heads):
                _partials_of_head(call, b, head, entry, result)
    return result


def _partials_of_head(
    call: AttentionCall, b: int, head: int, entry: _Entry, result: Partials
) -> None:
    """Write one head's into ``result``."""
    query = call.query[b, head, entry.query_order].float() * call.scale
    key_dM = call.key[b, head, entry.key_order].float().mT.contiguous()
    value_Md = call.value[b, head, entry.key_order].float()
    buffer_nM = entry.buffer(call.query)
    for label, start, end in entry.query_runs:
        of_sign = {
            sign: [slice(low, high) for low, high, its in entry.slices[label] if its == sign]
            for sign in result.signs
        }
        values = {
            sign: torch.cat([value_Md[part] for part in parts])
            for sign, parts in of_sign.items()
            if parts
        }
        for first, last in entry.blocks(start, end):
            rows = entry.query_order[first:last]
            scores = torch.mm(query[first:last], key_dM, out=buffer_nM[: last - first])
            if entry.modulated:
                modulated = scores[:, : entry.modulated]
                result.largest_BHN[b, head][rows] = modulated.amax(-1)
                result.smallest_BHN[b, head][rows] = modulated.amin(-1)
            up, down = entry.attract_N1[first:last], entry.repel_N1[first:last]
            factors = {POSITIVE: 1 - up, NEGATIVE: 1 - down, SOFT: 1 - down * call.soft_share}
            for sign, value in values.items():
                part = torch.cat([scores[:, columns] for columns in of_sign[sign]], 1)
                part = part * factors[sign] if sign in factors else part
                index = result.signs.index(sign)
                result.log_sums_SBHN[index, b, head][rows] = part.logsumexp(-1)
                result.outputs_SBHNd[index, b, head][rows] = part.softmax(-1) @ value


def _runs(sorted_labels: Tensor) -> list[Run]:
    labels, counts = sorted_labels.unique_consecutive(return_counts=True)
    ends = counts.cumsum(0)
    starts = ends - counts
    return list(zip(labels.tolist(), starts.tolist(), ends.tolist(), strict=True))


def _signed_slices(key_runs: list[Run], signs: Tensor) -> list[Slice]:
    """The key runs, neighbours of one sign joined."""
    return _joined((start, end, int(signs[label])) for label, start, end in key_runs)


def _joined(runs: Iterable[tuple[int, int, Kind]]) -> list[tuple[int, int, Kind]]:
    """Start, end and kind of runs, neighbours of one kind joined."""
    joined: list[tuple[int, int, Kind]] = []
    for start, end, kind in runs:
        if joined and joined[-1][1:] == (start, kind):
            joined[-1] = (joined[-1][0], end, kind)
        else:
            joined.append((start, end, kind))
    return joined


BACKEND = Backend("rows", run, features=frozenset(FEATURES), partials=partials)
