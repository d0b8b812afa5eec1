"""What backends promise of keys: of more keys, of parts of them, and of several blocks.

Neutral and masked keys are added to a call; its keys are cut in parts whose results are merged; and
a second block of keys is joined to it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grainspec_runtime.attention.call import AttentionCall
from grainspec_runtime.attention.partial_result import joined
from grainspec_runtime.testing.attention.definition import (
    Numbers,
    log_sum,
    moved_scores,
    softmax,
)
from grainspec_runtime.testing.attention.trial import Trial, array, labels_at


def masked(trial: Trial) -> None:
    """Masked keys that are added to others change nothing."""
    call = trial.call
    if call.masked is not None:
        value = call.value[:, :, :_ADDED] * 2 + 1
        out = trial.run(_with_keys(trial, call.key[:, :, :_ADDED] * 2, value, "masked"))
        what = "without the masked keys that are added it is"
        trial.compare("masked", array(out), trial.result, what)


def padding(trial: Trial) -> None:
    """Neutral keys that are added to others take a share of the softmax, and move nothing else.

    With values of 0 the result shrinks by that share, and other values show how large it is.
    """
    call = trial.call
    if call.neutral is None:
        return
    key, zero = -call.key[:, :, :_ADDED], torch.zeros_like(call.value[:, :, :_ADDED])
    largest = max(float(call.value.abs().max()), 1e-3)
    without, beside = (
        array(trial.run(_with_keys(trial, key, value, "neutral")))
        for value in (zero, zero + largest)
    )
    share = ((beside - without) / largest).mean(-1, keepdims=True)
    trial.compare(
        "padding",
        without,
        (1 - share) * trial.result,
        "by the share of the neutral keys that are added it is",
        tolerance=2 * trial.tolerance,
    )


def partials(trial: Trial) -> None:
    """The partial results of parts of the keys merge to the definition's."""
    call = trial.call
    if trial.backend.partials is None or call.columns is not None:
        return
    order = torch.randperm(call.keys, generator=torch.Generator().manual_seed(call.keys))
    first, *others = [_part(trial, keys.to(call.key.device)) for keys in order.chunk(3)]
    merged = trial.partials(first)
    for other in others:
        merged = merged.merged(trial.partials(other))
    out, total = merged.finished(call.attract, call.repel, call.soft_share)
    what = "merged from parts of the keys it is by definition"
    trial.compare("partials", array(out), trial.expected, what)
    scores, _ = moved_scores(trial.numbers)
    trial.compare(
        "partials",
        array(total)[..., None],
        log_sum(scores)[..., None],
        "the log-sum-exp is by definition",
        tolerance=10 * trial.relative_tolerance,
    )


def joint(trial: Trial) -> None:
    """Two blocks of keys with strengths and extremes of their own are one softmax."""
    call = trial.call
    if trial.backend.partials is None or call.columns is not None:
        return
    other = trial.changed(
        key=call.key.flip(2) * 0.75,
        value=call.value.roll(1, 2),
        attract=1 - call.repel,
        repel=1 - call.attract,
    )
    parts = [
        trial.partials(block).finished(block.attract, block.repel, block.soft_share)
        for block in (call, other)
    ]
    blocks = [Numbers.of(call), Numbers.of(other)]
    scores = np.concatenate([moved_scores(block)[0] for block in blocks], -1)
    values = np.concatenate([block.value_BHMd for block in blocks], 2)
    expected = softmax(scores, np.ones(1, bool)) @ values
    what = "of both blocks under one softmax it is"
    trial.compare("joint", array(joined(parts)[0]), expected, what)


_ADDED = 3
"""Keys that are added, or fewer where a call has fewer."""


def _with_keys(trial: Trial, key: Tensor, value: Tensor, feature: str) -> AttentionCall:
    """The call with more keys, of a new class that would be positive, but is what it says."""
    call = trial.call
    labels = call.key_labels.long()
    added = labels.new_full((len(labels), key.shape[2]), call.relation.shape[1])
    tables: dict[str, Any] = {
        name: _longer(table, name in {feature, "columns"})
        for name in ("soft", "neutral", "masked", "columns")
        if (table := getattr(call, name)) is not None
    }
    return trial.changed(
        key=torch.cat([call.key, key], 2),
        value=torch.cat([call.value, value], 2),
        key_labels=torch.cat([labels, added], 1),
        relation=torch.cat([call.relation, torch.ones_like(call.relation[:, :1])], 1),
        **tables,
    )


def _longer(table: Tensor, last: float) -> Tensor:
    return torch.cat([table, table.new_full((1,), last)])


def _part(trial: Trial, keys: Tensor) -> AttentionCall:
    """The call with some of its keys."""
    call = replace(trial.call, order=None)
    some = {name: getattr(call, name)[:, :, keys] for name in ("key", "value")}
    return replace(call, key_labels=labels_at(call.key_labels, keys), **some)
