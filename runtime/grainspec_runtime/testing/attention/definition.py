"""The attention operator by its definition, in NumPy's float64, and how else it could be read.

The definition is equations (1) and (4) of :mod:`grainspec_runtime.attention.operator`. It is
written here once more, pair by pair and without any of the operator's functions, so that the two
can be compared. Each of its steps can be replaced: by a mistake that a result then shows.

Dimensions: B batch, H heads, N queries, M keys, d head size, C query classes, K key classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from grainspec_runtime.attention.call import AttentionCall

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Numbers:
    """The arguments of a call as arrays, with labels for each batch entry."""

    query_BHNd: Floats
    key_BHMd: Floats
    value_BHMd: Floats
    query_labels_BN: Integers
    key_labels_BM: Integers
    relation_CK: Bools
    attract_BN: Floats
    repel_BN: Floats
    soft_K: Bools
    soft_share: float
    neutral_K: Bools
    masked_K: Bools
    columns_K: Floats
    scale: float

    @classmethod
    def of(cls, call: AttentionCall) -> Numbers:
        """The arguments of ``call``; the rounding of its dtype is theirs, not the result's."""
        batch, queries, keys = call.query.shape[0], call.query.shape[2], call.key.shape[2]
        classes = call.relation.shape[1]
        soft, neutral, masked = (
            np.zeros(classes, bool) if mask is None else mask.cpu().numpy()
            for mask in (call.soft, call.neutral, call.masked)
        )
        return cls(
            query_BHNd=_floats(call.query),
            key_BHMd=_floats(call.key),
            value_BHMd=_floats(call.value),
            query_labels_BN=np.broadcast_to(_integers(call.query_labels), (batch, queries)),
            key_labels_BM=np.broadcast_to(_integers(call.key_labels), (batch, keys)),
            relation_CK=call.relation.cpu().numpy(),
            attract_BN=_floats(call.attract),
            repel_BN=_floats(call.repel),
            soft_K=soft,
            soft_share=call.soft_share,
            neutral_K=neutral,
            masked_K=masked,
            columns_K=np.zeros(classes) if call.columns is None else _floats(call.columns),
            scale=call.scale,
        )


def _floats(tensor: Tensor) -> Floats:
    return tensor.detach().cpu().double().numpy()


def _integers(tensor: Tensor) -> Integers:
    return tensor.cpu().numpy().astype(np.int64)


# --- the steps ------------------------------------------------------------------------------------


def positive_pairs(x: Numbers) -> Bools:
    """R: whether a query and a key are a positive pair, ``[B, N, M]``."""
    of_queries = np.eye(len(x.relation_CK))[x.query_labels_BN]
    of_keys = np.eye(x.relation_CK.shape[1])[x.key_labels_BM]
    return np.asarray(of_queries @ x.relation_CK @ of_keys.swapaxes(1, 2) > 0)


def scaled_products(x: Numbers) -> Floats:
    """The scores s, ``[B, H, N, M]``."""
    return np.asarray(np.einsum("bhnd,bhmd->bhnm", x.query_BHNd, x.key_BHMd) * x.scale)


def modulated_keys(x: Numbers) -> Bools:
    """The keys that are neither neutral nor masked, ``[B, M]``."""
    return ~(x.neutral_K | x.masked_K)[x.key_labels_BM]


def over_all_keys(scores: Floats, positive: Bools) -> tuple[Floats, Floats]:
    """``mx`` and ``mn``: a row's largest and smallest score, ``[B, H, N, 1]``.

    Keys that do not count have scores of NaN, here and in what takes the place of this step.
    """
    return np.fmax.reduce(scores, -1, keepdims=True), np.fmin.reduce(scores, -1, keepdims=True)


def soft_negatives(x: Numbers) -> tuple[Floats, Floats]:
    """λ⁺ and g λ⁻ of every pair, should it be positive or negative, ``[B, N, M]``."""
    share_BM = np.where(x.soft_K[x.key_labels_BM], x.soft_share, 1.0)
    ones = np.ones_like(share_BM)
    return x.attract_BN[..., None] * ones[:, None], x.repel_BN[..., None] * share_BM[:, None]


def along_columns(moved: Floats, scores: Floats, positive: Bools, x: Numbers) -> Floats:
    """The scores s', ``[B, H, N, M]``, pulled along their columns: s''."""
    ends = moved.max(-2, keepdims=True), moved.min(-2, keepdims=True)
    return pulled(moved, ends, positive, x, modulated_keys(x))


def pulled(
    moved: Floats, ends: tuple[Floats, Floats], positive: Bools, x: Numbers, keys_BM: Bools
) -> Floats:
    """The scores of some keys pulled to the largest or the smallest of their columns."""
    strength = np.where(keys_BM, x.columns_K[x.key_labels_BM], 0.0)[:, None, None]
    return np.asarray(moved + strength * (np.where(positive, *ends) - moved))


def softmax(scores: Floats, positive: Bools) -> Floats:
    """The weights of the keys, ``[B, H, N, M]``; scores of −∞ are those of masked keys."""
    largest = scores.max(-1, keepdims=True)
    powers = np.exp(scores - np.where(largest == -np.inf, 0.0, largest))
    mass = powers.sum(-1, keepdims=True)
    return np.asarray(powers / np.where(mass > 0, mass, 1.0))


def as_computed(out: Floats, x: Numbers) -> Floats:
    """The result as it is."""
    return out


@dataclass(frozen=True)
class Reading:
    """One step after the other: the operator's definition, or a mistaken reading of it."""

    positive: Callable[[Numbers], Bools] = positive_pairs
    scores: Callable[[Numbers], Floats] = scaled_products
    counted: Callable[[Numbers], Bools] = modulated_keys
    extremes: Callable[[Floats, Bools], tuple[Floats, Floats]] = over_all_keys
    strengths: Callable[[Numbers], tuple[Floats, Floats]] = soft_negatives
    columns: Callable[[Floats, Floats, Bools, Numbers], Floats] = along_columns
    weights: Callable[[Floats, Bools], Floats] = softmax
    finish: Callable[[Floats, Numbers], Floats] = as_computed


def moved_scores(x: Numbers, reading: Reading | None = None) -> tuple[Floats, Bools]:
    """The scores in the softmax, ``[B, H, N, M]``, −∞ of masked keys; and the positive pairs."""
    step = reading or Reading()
    positive = step.positive(x)[:, None]
    scores = step.scores(x)
    counted = np.where(step.counted(x)[:, None, None], scores, np.nan)
    largest, smallest = step.extremes(counted, positive)
    attract, repel = (strength[:, None] for strength in step.strengths(x))
    moved = np.where(
        positive,
        scores + attract * (largest - scores),
        scores + repel * (smallest - scores),
    )
    neutral, masked = (mask[x.key_labels_BM][:, None, None] for mask in (x.neutral_K, x.masked_K))
    moved = step.columns(np.where(neutral | masked, scores, moved), scores, positive, x)
    return np.where(masked, -np.inf, moved), positive


def attention(x: Numbers, reading: Reading | None = None) -> Floats:
    """The operator's result, ``[B, H, N, d]``, float64."""
    step = reading or Reading()
    moved, positive = moved_scores(x, reading)
    return step.finish(step.weights(moved, positive) @ x.value_BHMd, x)


def log_sum(scores: Floats) -> Floats:
    """The log-sum-exp of each row, ``[B, H, N]``; −∞ of rows without a key."""
    largest = scores.max(-1, keepdims=True)
    largest = np.where(largest == -np.inf, 0.0, largest)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.exp(scores - largest).sum(-1)) + largest[..., 0])
