"""Calls of the attention operator, drawn where backends tend to be wrong.

Dimensions: B batch, H heads, N queries, M keys, d head size, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import cycle
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grainspec_runtime.attention.call import AttentionCall
from grainspec_runtime.testing.attention.definition import (
    Numbers,
    over_all_keys,
    positive_pairs,
    scaled_products,
    softmax,
)

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
"""The dtypes of query, key and value that are drawn if nothing else is said."""

WIDTHS = (16, 40, 33, 64, 80, 128, 160)
"""The head sizes that are drawn if nothing else is said: of published models, and an odd one."""

LENGTHS = (1, 2, 15, 16, 17, 63, 64, 65, 129)
"""Numbers of queries and keys: one, and those beside the multiples of a block."""


@dataclass(frozen=True)
class Kind:
    """What is special about a call.

    Attributes:
        largest: the largest magnitude of a score.
        relation: ``drawn``; ``own``, each class with itself; ``all`` or ``none`` of the pairs.
        strengths: ``drawn`` in [0, 1]; ``none``, 0; ``full``, 1; ``attract`` or ``repel``, the
            other one being 0; ``mixed``, rows of 0, of 1 and between; ``one``, a single λ for all
            rows, expanded; ``balanced``, the λ for which positive and negative keys weigh the same.
        ties: queries and keys of -1, 0 and 1, so that many scores are equal.
        filled: the number of classes that keys have; None for all.
        words: every key has a class of its own, as a prompt's words have, in all batch entries.
        shared: one row of labels for all batch entries.
        labels: the dtype of labels.
        memory: ``plain``; ``heads``, heads beside one another, as a linear layer leaves them;
            ``spread``, every second number of a larger tensor; ``offset``, a part of one;
            ``shared``, one tensor for all heads, expanded.
        scale: factor of 1/√d.
        soft: the share of soft keys; None for no soft keys.
        neutral, masked: the key classes that are: ``drawn``; ``all``; ``but one``, the last class;
            ``last``, that class alone; None for none.
        columns: the strengths of columns: ``drawn``, in [0, 1] and 0 for some; ``full``, 1; None
            for no columns.
        value: the largest magnitude of values, about.
    """

    batch: int = 1
    heads: int = 2
    queries: int = 17
    keys: int = 16
    classes: int = 4
    largest: float = 6.0
    relation: str = "drawn"
    strengths: str = "drawn"
    ties: bool = False
    filled: int | None = None
    words: bool = False
    shared: bool = False
    labels: torch.dtype = torch.int64
    memory: str = "plain"
    scale: float = 1.0
    soft: float | None = None
    neutral: str | None = None
    masked: str | None = None
    columns: str | None = None
    value: float = 3.0


KINDS = {
    "one key": Kind(queries=2, keys=1),
    "one query": Kind(queries=1, keys=5),
    "two keys": Kind(queries=3, keys=2, classes=2, relation="own"),
    "small": Kind(queries=5, keys=7, heads=1),
    "one class, related": Kind(classes=1, relation="all"),
    "one class, not related": Kind(classes=1, relation="none"),
    "all pairs positive": Kind(relation="all"),
    "all pairs negative": Kind(relation="none"),
    "as many queries as keys": Kind(queries=16, keys=16),
    "classes without keys": Kind(classes=9, filled=2),
    "the rows of one class have no positive key": Kind(relation="own", filled=2),
    "strengths of 0": Kind(strengths="none", queries=15),
    "strengths of 1": Kind(strengths="full", queries=15),
    "attraction only": Kind(strengths="attract", keys=15),
    "repulsion only": Kind(strengths="repel", keys=15),
    "rows with strengths of 0, 1 and between": Kind(strengths="mixed", queries=63),
    "one strength for all rows": Kind(strengths="one", batch=2),
    "positive and negative keys of one weight": Kind(strengths="balanced", keys=33, queries=33),
    "a batch": Kind(batch=3, heads=3),
    "eight heads, a batch of four": Kind(batch=4, heads=8, queries=9, keys=11),
    "a batch that shares its labels": Kind(batch=3, shared=True),
    "labels of int32": Kind(labels=torch.int32, batch=2),
    "labels of uint8": Kind(labels=torch.uint8),
    "labels of uint16": Kind(labels=torch.uint16),
    "labels of int16": Kind(labels=torch.int16),
    "more than 256 classes": Kind(queries=129, keys=129, classes=600, relation="own"),
    "heads beside one another": Kind(memory="heads", batch=2, keys=17),
    "numbers apart in memory": Kind(memory="spread", batch=2),
    "part of a larger tensor": Kind(memory="offset", keys=17),
    "one tensor for all heads": Kind(memory="shared"),
    "words of a prompt": Kind(words=True, keys=77, queries=15, batch=2),
    "soft words of a prompt": Kind(words=True, keys=77, queries=16, soft=0.3),
    "a negative scale": Kind(scale=-1.0),
    "a small scale": Kind(scale=0.1, largest=1.0),
    "equal scores": Kind(ties=True, keys=65, queries=15),
    "equal scores, strengths of 1": Kind(ties=True, strengths="full"),
    "scale 0": Kind(scale=0.0, ties=True),
    "scores of ±1000": Kind(largest=1e3),
    "scores of ±1000, balanced": Kind(largest=1e3, strengths="balanced", keys=63),
    "scores of ±10000": Kind(largest=1e4, keys=64),
    "scores of ±10000, strengths of 1": Kind(largest=1e4, strengths="full"),
    "scores of ±10000, negative scale": Kind(largest=1e4, scale=-1.0, strengths="mixed"),
    "large values": Kind(value=2e4, keys=65),
    "soft keys": Kind(soft=0.3, keys=33),
    "soft keys of share 0": Kind(soft=0.0),
    "soft keys of share 1": Kind(soft=1.0),
    "soft keys, all pairs negative": Kind(soft=0.3, relation="none", strengths="full"),
    "soft keys, all pairs positive": Kind(soft=0.3, relation="all"),
    "soft keys in a batch": Kind(soft=0.5, batch=2, strengths="mixed", queries=65),
    "neutral keys": Kind(neutral="drawn", keys=17),
    "neutral keys, strengths of 1": Kind(neutral="drawn", strengths="full", keys=33),
    "neutral keys, all pairs positive": Kind(neutral="last", relation="all", classes=2),
    "all keys neutral": Kind(neutral="all"),
    "all keys neutral but those of one class": Kind(neutral="but one", batch=2),
    "masked keys": Kind(masked="drawn", keys=17),
    "all keys masked": Kind(masked="all"),
    "all keys masked but those of one class": Kind(masked="but one", keys=65),
    "keys soft, neutral and masked": Kind(
        soft=0.3, neutral="drawn", masked="drawn", classes=9, keys=65, batch=2
    ),
    "a prompt with padding": Kind(words=True, keys=77, queries=15, neutral="drawn", masked="last"),
    "scores of ±1000, neutral and masked keys": Kind(
        largest=1e3, neutral="drawn", masked="last", keys=33
    ),
    "neutral keys and a negative scale": Kind(neutral="drawn", masked="drawn", scale=-1.0),
    "columns": Kind(columns="drawn", keys=17),
    "columns of strength 1": Kind(columns="full", keys=15),
    "columns, some rows of strength 0": Kind(columns="drawn", strengths="mixed", queries=63),
    "columns, all strengths 0": Kind(columns="drawn", strengths="none", batch=2),
    "columns beside soft, neutral and masked keys": Kind(
        columns="drawn", soft=0.3, neutral="drawn", masked="drawn", classes=9, keys=65, batch=2
    ),
    "columns of a prompt's words": Kind(words=True, keys=77, queries=65, columns="drawn"),
    "columns, scores of ±1000": Kind(columns="drawn", largest=1e3, scale=-1.0),
    "a block less one": Kind(queries=63, keys=63),
    "a block": Kind(queries=64, keys=64),
    "a block and one": Kind(queries=65, keys=65, heads=1),
    "two blocks and one": Kind(queries=129, keys=129, heads=1),
    "many keys for few queries": Kind(queries=3, keys=530),
    "many queries for few keys": Kind(queries=300, keys=3),
}
"""Calls by what is special about them, from small to large where nothing else orders them."""

_DRAWN: dict[str, Sequence[Any]] = {
    "batch": (1, 1, 2),
    "heads": (1, 2, 3),
    "queries": LENGTHS,
    "keys": LENGTHS,
    "classes": (1, 2, 4, 9, 40),
    "largest": (1.0, 6.0, 6.0, 30.0, 1e3, 1e4),
    "relation": ("drawn", "drawn", "own", "own", "all", "none"),
    "strengths": ("drawn", "drawn", "mixed", "full", "attract", "repel", "one", "balanced"),
    "ties": (False, False, False, True),
    "filled": (None, None, 1, 2),
    "words": (False, False, True),
    "shared": (False, True),
    "labels": (torch.int64, torch.int64, torch.int32, torch.uint8),
    "memory": ("plain", "heads", "spread", "offset", "shared"),
    "scale": (1.0, 1.0, -1.0, 0.3),
    "soft": (None, None, 0.0, 0.4, 1.0),
    "neutral": (None, None, None, "drawn", "last"),
    "masked": (None, None, None, "drawn", "but one"),
    "columns": (None, None, None, None, "drawn"),
}


@dataclass(frozen=True, eq=False)
class Drawn:
    """A call, and what is special about it in words."""

    kind: str
    call: AttentionCall

    def __str__(self) -> str:
        call = self.call
        dtype = str(call.query.dtype).removeprefix("torch.")
        counts = (
            f"{call.batch} x {call.heads} heads, {call.queries} queries, {call.keys} keys, "
            f"head size {call.width}"
        )
        strengths = f"λ⁺ {_range(call.attract)}, λ⁻ {_range(call.repel)}"
        scale = f"scale {call.scale:.4g}"
        more = "" if call.soft is None else f", soft share {call.soft_share:g}"
        for name, mask in (("neutral", call.neutral), ("masked", call.masked)):
            more += "" if mask is None else f", {int(mask.sum())} of {len(mask)} classes {name}"
        if call.columns is not None:
            more += f", columns {_range(call.columns)}"
        return f"“{self.kind}”: {dtype}, {counts}, {strengths}, {scale}{more}"


def _range(strengths: Tensor) -> str:
    low, high = float(strengths.min()), float(strengths.max())
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


def calls(
    *,
    device: torch.device,
    dtypes: Sequence[torch.dtype],
    widths: Sequence[int],
    examples: int,
    seed: int,
) -> Iterator[Drawn]:
    """Every kind of call in the first dtype and in one of the others, then ``examples`` drawn ones.

    Head sizes take turns, the smallest first.
    """
    random = np.random.default_rng(seed)
    turns = cycle(widths)
    others = cycle(dtypes[1:])
    for name, kind in KINDS.items():
        # large scores show what is rounded too early, in any dtype
        chosen = dtypes if kind.largest > 100 else (dtypes[0], next(others, None))
        for dtype in chosen:
            if dtype is not None:
                yield Drawn(name, _call(kind, next(turns), dtype, random, device))
    for index in range(examples):
        settings = {
            name: values[int(random.integers(len(values)))] for name, values in _DRAWN.items()
        }
        drawn = Kind(**settings)
        width = widths[int(random.integers(len(widths)))]
        dtype = dtypes[int(random.integers(len(dtypes)))]
        differs = {
            field.name: settings[field.name]
            for field in fields(Kind)
            if field.name in settings and settings[field.name] != field.default
        }
        said = ", ".join(f"{name} {value}" for name, value in differs.items())
        yield Drawn(f"drawn {index}: {said}", _call(drawn, width, dtype, random, device))


def _call(
    kind: Kind, width: int, dtype: torch.dtype, random: np.random.Generator, device: torch.device
) -> AttentionCall:
    batch, heads = kind.batch, kind.heads
    query, key = (_vectors(kind, random, length, width) for length in (kind.queries, kind.keys))
    scale = kind.scale / width**0.5
    if not kind.ties and scale:
        highest = np.abs(np.einsum("bhnd,bhmd->bhnm", query, key) * scale).max()
        root = (kind.largest / highest) ** 0.5
        query, key = query * root, key * root
    value = random.normal(size=(batch, heads, kind.keys, width)) * kind.value / 3
    key_classes = kind.keys if kind.words else kind.classes
    attract, repel = _strengths(kind, random)
    query_labels, key_labels = _query_labels(kind, random), _key_labels(kind, random)
    call = AttentionCall(
        query=_laid_out(torch.from_numpy(query).to(dtype), kind),
        key=_laid_out(torch.from_numpy(key).to(dtype), kind),
        value=_laid_out(torch.from_numpy(value).to(dtype), kind),
        query_labels=_apart(query_labels, kind),
        key_labels=_apart(key_labels, kind),
        relation=_relation(kind, key_classes, random),
        attract=_apart(attract, kind),
        repel=_apart(repel, kind),
        scale=scale,
        soft=None if kind.soft is None else torch.from_numpy(random.random(key_classes) < 0.5),
        soft_share=kind.soft or 0.0,
        neutral=_mask(kind.neutral, key_classes, random),
        masked=_mask(kind.masked, key_classes, random),
        columns=_columns(kind.columns, key_classes, random),
    )
    if kind.strengths == "balanced":
        strengths = _balanced(Numbers.of(call))
        call = replace(call, attract=strengths, repel=strengths.clone())
    return on_device(call, device)


def _vectors(kind: Kind, random: np.random.Generator, length: int, width: int) -> Any:
    shape = (kind.batch, 1 if kind.memory == "shared" else kind.heads, length, width)
    if kind.ties:
        return random.integers(-1, 2, size=shape).astype(np.float64)
    return random.normal(size=shape)


def _query_labels(kind: Kind, random: np.random.Generator) -> Tensor:
    rows = 1 if kind.shared or kind.words else kind.batch
    drawn = random.integers(kind.classes, size=(rows, kind.queries))
    drawn[:, -1] = kind.classes - 1  # the largest label is among them
    return _expanded(torch.from_numpy(drawn).to(kind.labels), kind)


def _key_labels(kind: Kind, random: np.random.Generator) -> Tensor:
    if kind.words:
        return _expanded(torch.arange(kind.keys).to(kind.labels)[None], kind)
    rows = 1 if kind.shared else kind.batch
    classes = min(kind.filled or kind.classes, kind.classes)
    drawn = random.integers(classes, size=(rows, kind.keys))
    drawn[:, -1] = classes - 1
    return _expanded(torch.from_numpy(drawn).to(kind.labels), kind)


def _expanded(labels: Tensor, kind: Kind) -> Tensor:
    """With words, labels are expanded to the batch; shared ones stay ``[1, …]``."""
    return labels.expand(kind.batch, -1) if kind.words and not kind.shared else labels


def _relation(kind: Kind, key_classes: int, random: np.random.Generator) -> Tensor:
    shape = (kind.classes, key_classes)
    drawn = {
        "drawn": random.random(shape) < 0.5,
        "own": np.eye(*shape, dtype=bool),
        "all": np.ones(shape, bool),
        "none": np.zeros(shape, bool),
    }
    return torch.from_numpy(drawn[kind.relation])


def _mask(which: str | None, classes: int, random: np.random.Generator) -> Tensor | None:
    if which is None:
        return None
    if which == "drawn":
        return torch.from_numpy(random.random(classes) < 0.4)
    mask = torch.full((classes,), which != "last")
    mask[-1] = which != "but one"
    return mask


def _columns(which: str | None, classes: int, random: np.random.Generator) -> Tensor | None:
    if which is None:
        return None
    drawn = random.random(classes) * (random.random(classes) < 0.7)
    return torch.from_numpy(drawn if which == "drawn" else np.ones(classes)).float()


def _strengths(kind: Kind, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    shape = (kind.batch, kind.queries)
    attract, repel = random.random(shape), random.random(shape)
    if kind.strengths == "one":
        return tuple(torch.full((1, 1), float(s[0, 0])).expand(shape) for s in (attract, repel))  # type: ignore[return-value]
    if kind.strengths in {"none", "repel"}:
        attract[:] = 0
    if kind.strengths in {"none", "attract"}:
        repel[:] = 0
    if kind.strengths == "full":
        attract[:], repel[:] = 1, 1
    if kind.strengths == "mixed":
        kinds = random.integers(3, size=shape)
        attract, repel = (np.choose(kinds, [np.zeros(shape), s, 1.0]) for s in (attract, repel))
    return torch.from_numpy(attract).float(), torch.from_numpy(repel).float()


def _laid_out(tensor: Tensor, kind: Kind) -> Tensor:
    """The same tensor, otherwise in memory; one head for all if that is the kind."""
    memory = kind.memory
    if memory == "shared":
        return tensor[:, :1].expand(-1, kind.heads, -1, -1)
    if memory == "heads":
        return tensor.transpose(1, 2).contiguous().transpose(1, 2)
    if memory == "spread":
        return torch.stack([tensor, tensor * 3], -1).flatten(-2)[..., ::2]
    if memory == "offset":
        wide = torch.full((*tensor.shape[:2], tensor.shape[2] + 2, tensor.shape[3] + 3), 50.0)
        wide = wide.to(tensor.dtype)
        wide[:, :, 1:-1, 1:-2] = tensor
        return wide[:, :, 1:-1, 1:-2]
    return tensor


def _apart(rows: Tensor, kind: Kind) -> Tensor:
    """Labels or strengths, otherwise in memory; those that are expanded stay so."""
    if 0 in rows.stride() or kind.memory not in {"heads", "spread"}:
        return rows
    if kind.memory == "heads":
        return rows.T.contiguous().T
    return torch.stack([rows, torch.zeros_like(rows)], -1).flatten(-2)[..., ::2]


def _balanced(x: Numbers) -> Tensor:
    """The λ of each row, for both signs, that gives positive and negative keys the same weight.

    Then an error in the weight of one sign is not hidden by the other's. Found by halving.
    """
    positive = positive_pairs(x)[:, None]
    scores = scaled_products(x)
    largest, smallest = over_all_keys(scores, positive)
    low, high = np.zeros_like(x.attract_BN), np.ones_like(x.attract_BN)
    for _ in range(30):
        middle = (low + high) / 2
        pull = middle[:, None, :, None]
        moved = scores + pull * (np.where(positive, largest, smallest) - scores)
        mass = (softmax(moved, positive) * positive).sum(-1).mean(1)
        low, high = np.where(mass < 0.5, middle, low), np.where(mass < 0.5, high, middle)
    return torch.from_numpy((low + high) / 2).float()


def on_device(call: AttentionCall, device: torch.device) -> AttentionCall:
    """The call with all tensors on a device; expanded and strided ones stay so on the CPU."""
    if device.type == "cpu":
        return call
    moved: dict[str, Any] = {
        field.name: value.to(device)
        for field in fields(call)
        if isinstance(value := getattr(call, field.name), Tensor)
    }
    return replace(call, **moved)
