"""Usual mistakes of attention backends, which a wrong result is compared with.

Dimensions as in :mod:`.definition`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from grainspec_runtime.testing.attention import column_mistakes, extreme_mistakes
from grainspec_runtime.testing.attention.definition import (
    Bools,
    Floats,
    Numbers,
    Reading,
    attention,
    over_all_keys,
    positive_pairs,
    scaled_products,
    soft_negatives,
    softmax,
)

BLOCKS = (8, 16, 32, 64, 128)
"""Numbers of keys that kernels take at once."""


@dataclass(frozen=True)
class Cause:
    """A mistake: other arguments, or another reading. None where a call cannot show it."""

    change: Callable[[Numbers], Numbers | None] = lambda x: x
    reading: Reading | None = None

    def result(self, x: Numbers) -> Floats | None:
        """What a backend with this mistake returns."""
        changed = self.change(x)
        return None if changed is None else attention(changed, self.reading)


def _with(**arguments: Any) -> Cause:
    return Cause(lambda x: replace(x, **{name: make(x) for name, make in arguments.items()}))


def _zeros(x: Numbers) -> Floats:
    return np.zeros_like(x.attract_BN)


def _query_labels_of_keys(x: Numbers) -> Numbers | None:
    same = x.query_labels_BN.shape == x.key_labels_BM.shape
    known = x.query_labels_BN.max() < x.relation_CK.shape[1]
    return replace(x, key_labels_BM=x.query_labels_BN) if same and known else None


def _key_labels_of_queries(x: Numbers) -> Numbers | None:
    same = x.query_labels_BN.shape == x.key_labels_BM.shape
    known = x.key_labels_BM.max() < len(x.relation_CK)
    return replace(x, query_labels_BN=x.key_labels_BM) if same and known else None


def _transposed(x: Numbers) -> Numbers | None:
    square = len(x.relation_CK) == x.relation_CK.shape[1]
    return replace(x, relation_CK=x.relation_CK.T) if square else None


def _all_soft(x: Numbers) -> Numbers | None:
    return replace(x, soft_K=np.ones_like(x.soft_K)) if x.soft_K.any() else None


def _first_of_batch(array: Any) -> Any:
    return np.broadcast_to(array[:1], array.shape)


def _wrapped(x: Numbers) -> Numbers:
    return replace(x, query_labels_BN=x.query_labels_BN & 255, key_labels_BM=x.key_labels_BM & 255)


# --- blocks of keys -------------------------------------------------------------------------------


def _over_first(block: int) -> Cause:
    def extremes(scores: Floats, positive: Bools) -> tuple[Floats, Floats]:
        return over_all_keys(scores[..., :block], positive)

    return Cause(reading=Reading(extremes=extremes))


def _over_block(block: int) -> Cause:
    def extremes(scores: Floats, positive: Bools) -> tuple[Floats, Floats]:
        keys = np.arange(scores.shape[-1])
        starts = np.arange(0, len(keys), block)
        of_key = keys // block
        largest = np.fmax.reduceat(scores, starts, -1)[..., of_key]
        return largest, np.fmin.reduceat(scores, starts, -1)[..., of_key]

    return Cause(reading=Reading(extremes=extremes))


# --- weights --------------------------------------------------------------------------------------


def _each_sign_by_itself(scores: Floats, positive: Bools) -> Floats:
    total = np.zeros_like(scores)
    for mask in (positive, ~positive):
        powers = np.where(mask, np.exp(scores - scores.max(-1, keepdims=True)), 0)
        mass = np.where(mask, powers, 0).sum(-1, keepdims=True)
        total += np.divide(powers, mass, out=np.zeros_like(powers), where=mass > 0)
    return total


def _mean_of_signs(scores: Floats, positive: Bools) -> Floats:
    both = positive.any(-1, keepdims=True) & ~positive.all(-1, keepdims=True)
    return np.asarray(_each_sign_by_itself(scores, positive) / np.where(both, 2, 1))


def _positives_only(scores: Floats, positive: Bools) -> Floats:
    some = positive.any(-1, keepdims=True)
    return softmax(np.where(positive | ~some, scores, -np.inf), positive)


def _not_normalised(scores: Floats, positive: Bools) -> Floats:
    return np.asarray(np.exp(scores - scores.max(-1, keepdims=True)))


def _padded(block: int) -> Cause:
    def weights(scores: Floats, positive: Bools) -> Floats:
        missing = -scores.shape[-1] % block
        wide = [(0, 0)] * (scores.ndim - 1) + [(0, missing)]
        return softmax(np.pad(scores, wide), positive)[..., : scores.shape[-1]]

    return Cause(reading=Reading(weights=weights))


def _cut(block: int) -> Cause:
    def change(x: Numbers) -> Numbers | None:
        kept = x.key_BHMd.shape[2] // block * block
        if not kept:
            return None
        return replace(
            x,
            key_BHMd=x.key_BHMd[:, :, :kept],
            value_BHMd=x.value_BHMd[:, :, :kept],
            key_labels_BM=x.key_labels_BM[:, :kept],
        )

    return Cause(change)


# --- other steps ----------------------------------------------------------------------------------


def _soft_positives_too(x: Numbers) -> tuple[Floats, Floats]:
    attract, repel = soft_negatives(x)
    share_BM = np.where(x.soft_K[x.key_labels_BM], x.soft_share, 1.0)
    return attract * share_BM[:, None], repel


def _twice(x: Numbers) -> tuple[Floats, Floats]:
    attract, repel = soft_negatives(x)
    return 1 - (1 - attract) ** 2, 1 - (1 - repel) ** 2


def _scores_in_half_precision(dtype: str) -> Cause:
    def scores(x: Numbers) -> Floats:
        import torch

        exact = torch.from_numpy(scaled_products(x))
        return exact.to(getattr(torch, dtype)).double().numpy()

    return Cause(reading=Reading(scores=scores))


def _sorted_by_class(out: Floats, x: Numbers) -> Floats:
    order_BN = x.query_labels_BN.argsort(1, kind="stable")
    return np.take_along_axis(out, order_BN[:, None, :, None], 2)


def _first_head(out: Floats, x: Numbers) -> Floats:
    return np.broadcast_to(out[:, :1], out.shape)


def _first_entry(out: Floats, x: Numbers) -> Floats:
    return np.broadcast_to(out[:1], out.shape)


def _read(**steps: Any) -> Cause:
    return Cause(reading=Reading(**steps))


CAUSES: dict[str, Cause] = {
    "the modulation is ignored": _with(attract_BN=_zeros, repel_BN=_zeros),
    "`attract` is ignored": _with(attract_BN=_zeros),
    "`repel` is ignored": _with(repel_BN=_zeros),
    "`attract` and `repel` are swapped": _with(
        attract_BN=lambda x: x.repel_BN, repel_BN=lambda x: x.attract_BN
    ),
    "`attract` is used for negative pairs, too": _with(repel_BN=lambda x: x.attract_BN),
    "`repel` is used for positive pairs, too": _with(attract_BN=lambda x: x.repel_BN),
    "positive and negative pairs are swapped": _read(positive=lambda x: ~positive_pairs(x)),
    "the largest and the smallest score are swapped": _read(extremes=extreme_mistakes.ends_swapped),
    "extremes are taken over positive keys only": _read(extremes=extreme_mistakes.over_positives),
    "extremes are taken over keys of the same sign only": _read(
        extremes=extreme_mistakes.over_own_sign
    ),
    "extremes include 0, the score of padding": _read(extremes=extreme_mistakes.with_zero),
    "extremes are ± the largest magnitude": _read(extremes=extreme_mistakes.largest_of_magnitude),
    "extremes are taken over all rows": _read(extremes=extreme_mistakes.over_rows),
    "extremes are taken over all heads": _read(extremes=extreme_mistakes.over_heads),
    **{f"extremes are those of the first {block} keys": _over_first(block) for block in BLOCKS},
    **{
        f"extremes are those of a block of {block} keys, not of the row": _over_block(block)
        for block in BLOCKS
    },
    "the softmax is taken for positive and negative keys separately, and added": _read(
        weights=_each_sign_by_itself
    ),
    "the softmax is taken for positive and negative keys separately, and averaged": _read(
        weights=_mean_of_signs
    ),
    "negative keys are masked out": _read(weights=_positives_only),
    "the weights are not divided by their sum": _read(weights=_not_normalised),
    "the scale is missing": _with(scale=lambda x: 1.0),
    "the scale is 1/√d, whatever the call says": _with(
        scale=lambda x: x.query_BHNd.shape[-1] ** -0.5
    ),
    "the scale's sign is ignored": _with(scale=lambda x: abs(x.scale)),
    "the scale is applied twice": _with(scale=lambda x: x.scale**2),
    "the labels of queries are used for keys": Cause(_query_labels_of_keys),
    "the labels of keys are used for queries": Cause(_key_labels_of_queries),
    "the relation is transposed": Cause(_transposed),
    "labels of 256 and more wrap around": Cause(_wrapped),
    "the labels of the first batch entry are used for all": _with(
        query_labels_BN=lambda x: _first_of_batch(x.query_labels_BN),
        key_labels_BM=lambda x: _first_of_batch(x.key_labels_BM),
    ),
    "the strengths of the first batch entry are used for all": _with(
        attract_BN=lambda x: _first_of_batch(x.attract_BN),
        repel_BN=lambda x: _first_of_batch(x.repel_BN),
    ),
    "the strengths of the first row are used for all": _with(
        attract_BN=lambda x: np.broadcast_to(x.attract_BN[:, :1], x.attract_BN.shape),
        repel_BN=lambda x: np.broadcast_to(x.repel_BN[:, :1], x.repel_BN.shape),
    ),
    "soft keys are repelled like all others": _with(soft_K=lambda x: np.zeros_like(x.soft_K)),
    "soft keys are not repelled at all": _with(soft_share=lambda x: 0.0),
    "soft keys are repelled by 1 minus their share": _with(soft_share=lambda x: 1 - x.soft_share),
    "soft keys are attracted by a share, too": _read(strengths=_soft_positives_too),
    "all keys are taken for soft ones": Cause(_all_soft),
    "neutral keys are modulated like all others": _with(neutral_K=lambda x: x.neutral_K & False),
    "neutral keys are left out": _with(masked_K=lambda x: x.masked_K | x.neutral_K),
    "neutral keys count for the extremes": _read(counted=extreme_mistakes.neutral_counted),
    "masked keys are attended to like all others": _with(masked_K=lambda x: x.masked_K & False),
    "masked keys count for the extremes": _read(counted=extreme_mistakes.masked_counted),
    "classes that are both neutral and masked are attended to": _with(
        masked_K=lambda x: x.masked_K & ~x.neutral_K
    ),
    "`columns` is ignored": _with(columns_K=lambda x: 0 * x.columns_K),
    "the largest and the smallest score of a column are swapped": _read(
        columns=column_mistakes.columns_swapped
    ),
    "the extremes of columns are taken before the pull along rows": _read(
        columns=column_mistakes.columns_of_scores
    ),
    "the extremes of columns are taken over all heads": _read(
        columns=column_mistakes.columns_of_heads
    ),
    "the extremes of columns are taken over modulated rows only": _read(
        columns=column_mistakes.columns_of_modulated_rows
    ),
    "rows of λ⁺ = λ⁻ = 0 are not pulled along columns": _read(
        columns=column_mistakes.columns_in_modulated_rows
    ),
    "neutral keys are pulled along columns": _read(columns=column_mistakes.columns_of_neutral_keys),
    "the modulation is applied twice": _read(strengths=_twice),
    **{f"keys beyond a multiple of {block} are dropped": _cut(block) for block in reversed(BLOCKS)},
    **{
        f"keys are padded to a multiple of {block}, and the padding is attended to": _padded(block)
        for block in BLOCKS
    },
    "rows are left in the order of their classes": _read(finish=_sorted_by_class),
    "the first head's result is given for all": _read(finish=_first_head),
    "the first batch entry's result is given for all": _read(finish=_first_entry),
    "scores are rounded to float16": _scores_in_half_precision("float16"),
    "scores are rounded to bfloat16": _scores_in_half_precision("bfloat16"),
}
"""Mistakes by the words that describe them, the likelier first."""


def causes_of(results: Iterable[tuple[Numbers, Floats, float]]) -> list[str]:
    """The mistakes that explain results: those of the first call, and of as many more as agree.

    ``results`` are arguments, a result, and the absolute tolerance of each call. A later call that
    no remaining mistake explains, is not looked at.
    """
    left = list(CAUSES)
    for index, (x, out, tolerance) in enumerate(results):
        explain = [
            name for name in left if _explains(CAUSES[name], x, out, tolerance, first=not index)
        ]
        if not explain and index:
            break
        left = explain
        if len(left) < 2:
            break
    return left


def _explains(cause: Cause, x: Numbers, out: Floats, tolerance: float, *, first: bool) -> bool:
    with np.errstate(all="ignore"):
        result = cause.result(x)
    if result is None:  # says nothing about the mistake, but cannot be explained by it either
        return not first
    return bool(np.all(np.abs(result - out) <= tolerance))
