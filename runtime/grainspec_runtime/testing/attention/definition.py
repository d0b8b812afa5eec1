"""The attention operator by its definition, in NumPy's float64, and how else it could be read.

The definition is equation (1) of :mod:`grainspec_runtime.attention.operator`. It is written here
once more, pair by pair and without any of the operator's functions, so that the two can be
compared. Each of its steps can be replaced: by a mistake that a result then shows.

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
    scale: float

    @classmethod
    def of(cls, call: AttentionCall) -> Numbers:
        """The arguments of ``call``; the rounding of its dtype is theirs, not the result's."""
        batch, queries, keys = call.query.shape[0], call.query.shape[2], call.key.shape[2]
        classes = call.relation.shape[1]
        return cls(
            query_BHNd=_floats(call.query),
            key_BHMd=_floats(call.key),
            value_BHMd=_floats(call.value),
            query_labels_BN=np.broadcast_to(_integers(call.query_labels), (batch, queries)),
            key_labels_BM=np.broadcast_to(_integers(call.key_labels), (batch, keys)),
            relation_CK=call.relation.cpu().numpy(),
            attract_BN=_floats(call.attract),
            repel_BN=_floats(call.repel),
            soft_K=np.zeros(classes, bool) if call.soft is None else call.soft.cpu().numpy(),
            soft_share=call.soft_share,
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


def over_all_keys(scores: Floats, positive: Bools) -> tuple[Floats, Floats]:
    """``mx`` and ``mn``: a row's largest and smallest score, ``[B, H, N, 1]``."""
    return scores.max(-1, keepdims=True), scores.min(-1, keepdims=True)


def soft_negatives(x: Numbers) -> tuple[Floats, Floats]:
    """λ⁺ and g λ⁻ of every pair, should it be positive or negative, ``[B, N, M]``."""
    share_BM = np.where(x.soft_K[x.key_labels_BM], x.soft_share, 1.0)
    ones = np.ones_like(share_BM)
    return x.attract_BN[..., None] * ones[:, None], x.repel_BN[..., None] * share_BM[:, None]


def softmax(scores: Floats, positive: Bools) -> Floats:
    """The weights of the keys, ``[B, H, N, M]``."""
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def as_computed(out: Floats, x: Numbers) -> Floats:
    """The result as it is."""
    return out


@dataclass(frozen=True)
class Reading:
    """One step after the other: the operator's definition, or a mistaken reading of it."""

    positive: Callable[[Numbers], Bools] = positive_pairs
    scores: Callable[[Numbers], Floats] = scaled_products
    extremes: Callable[[Floats, Bools], tuple[Floats, Floats]] = over_all_keys
    strengths: Callable[[Numbers], tuple[Floats, Floats]] = soft_negatives
    weights: Callable[[Floats, Bools], Floats] = softmax
    finish: Callable[[Floats, Numbers], Floats] = as_computed


def attention(x: Numbers, reading: Reading | None = None) -> Floats:
    """The operator's result, ``[B, H, N, d]``, float64."""
    step = reading or Reading()
    positive = step.positive(x)
    scores = step.scores(x)
    largest, smallest = step.extremes(scores, positive[:, None])
    attract, repel = (strength[:, None] for strength in step.strengths(x))
    moved = np.where(
        positive[:, None],
        scores + attract * (largest - scores),
        scores + repel * (smallest - scores),
    )
    return step.finish(step.weights(moved, positive[:, None]) @ x.value_BHMd, x)
