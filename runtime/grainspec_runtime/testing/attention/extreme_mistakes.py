"""Mistaken extremes of rows, in place of ``over_all_keys`` of :mod:`.definition`.

Scores are ``[B, H, N, M]``, NaN of keys that do not count, and positive pairs ``[B, 1, N, M]``.
"""

from __future__ import annotations

import numpy as np

from grainspec_runtime.testing.attention.definition import Bools, Floats, Numbers, over_all_keys


def over_mask(scores: Floats, mask: Bools) -> tuple[Floats, Floats]:
    """The extremes over the keys of a mask; those of all keys where it has none."""
    largest, smallest = over_all_keys(scores, mask)
    mask = mask & ~np.isnan(scores)
    none = ~mask.any(-1, keepdims=True)
    of_mask = np.where(mask, scores, -np.inf).max(-1, keepdims=True)
    least = np.where(mask, scores, np.inf).min(-1, keepdims=True)
    return np.where(none, largest, of_mask), np.where(none, smallest, least)


def over_positives(scores: Floats, positive: Bools) -> tuple[Floats, Floats]:
    """Those of the positive keys."""
    return over_mask(scores, positive)


def over_own_sign(scores: Floats, positive: Bools) -> tuple[Floats, Floats]:
    """The largest of the positive keys, and the smallest of the negative ones."""
    return over_mask(scores, positive)[0], over_mask(scores, ~positive)[1]


def ends_swapped(scores: Floats, positive: Bools) -> tuple[Floats, Floats]:
    """The smallest for the largest, and the other way round."""
    largest, smallest = over_all_keys(scores, positive)
    return smallest, largest


def with_zero(scores: Floats, positive: Bools) -> tuple[Floats, Floats]:
    """Those of the scores and 0."""
    largest, smallest = over_all_keys(scores, positive)
    return np.maximum(largest, 0), np.minimum(smallest, 0)


def largest_of_magnitude(scores: Floats, positive: Bools) -> tuple[Floats, Floats]:
    """Plus and minus the largest magnitude."""
    largest = np.fmax.reduce(np.abs(scores), -1, keepdims=True)
    return largest, -largest


def over_rows(scores: Floats, positive: Bools) -> tuple[Floats, Floats]:
    """Those of all rows of a head."""
    return over_axes(scores, (-2, -1))


def over_heads(scores: Floats, positive: Bools) -> tuple[Floats, Floats]:
    """Those of a row's scores in all heads."""
    return over_axes(scores, (1, -1))


def over_axes(scores: Floats, axes: tuple[int, int]) -> tuple[Floats, Floats]:
    """Those over two axes."""
    largest, smallest = np.fmax.reduce, np.fmin.reduce
    return largest(scores, axes, keepdims=True), smallest(scores, axes, keepdims=True)


def neutral_counted(x: Numbers) -> Bools:
    """Keys that count, ``[B, M]``: the neutral ones, too."""
    return ~x.masked_K[x.key_labels_BM]


def masked_counted(x: Numbers) -> Bools:
    """Keys that count, ``[B, M]``: the masked ones, too."""
    return ~(x.neutral_K & ~x.masked_K)[x.key_labels_BM]
