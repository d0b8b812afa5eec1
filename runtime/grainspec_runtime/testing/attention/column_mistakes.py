"""Mistaken pulls along columns, in place of ``along_columns`` of :mod:`.definition`.

Scores s and moved scores s' are ``[B, H, N, M]``, and positive pairs ``[B, 1, N, M]``.
"""

from __future__ import annotations

import numpy as np

from grainspec_runtime.testing.attention.definition import (
    Bools,
    Floats,
    Numbers,
    along_columns,
    modulated_keys,
    pulled,
)


def columns_swapped(moved: Floats, scores: Floats, positive: Bools, x: Numbers) -> Floats:
    """Pull to the smallest score of a column for the largest, and the other way round."""
    ends = moved.min(-2, keepdims=True), moved.max(-2, keepdims=True)
    return pulled(moved, ends, positive, x, modulated_keys(x))


def columns_of_scores(moved: Floats, scores: Floats, positive: Bools, x: Numbers) -> Floats:
    """Pull to the extremes of the raw scores."""
    ends = scores.max(-2, keepdims=True), scores.min(-2, keepdims=True)
    return pulled(moved, ends, positive, x, modulated_keys(x))


def columns_of_heads(moved: Floats, scores: Floats, positive: Bools, x: Numbers) -> Floats:
    """Pull to the extremes over all heads."""
    ends = moved.max((1, -2), keepdims=True), moved.min((1, -2), keepdims=True)
    return pulled(moved, ends, positive, x, modulated_keys(x))


def columns_of_modulated_rows(moved: Floats, scores: Floats, positive: Bools, x: Numbers) -> Floats:
    """Pull to the extremes over the modulated rows."""
    rows = (x.attract_BN + x.repel_BN > 0)[:, None, :, None]
    ends = (
        np.where(rows, moved, -np.inf).max(-2, keepdims=True),
        np.where(rows, moved, np.inf).min(-2, keepdims=True),
    )
    return pulled(moved, ends, positive, x, modulated_keys(x))


def columns_in_modulated_rows(moved: Floats, scores: Floats, positive: Bools, x: Numbers) -> Floats:
    """Pull the modulated rows only."""
    rows = (x.attract_BN + x.repel_BN > 0)[:, None, :, None]
    return np.where(rows, along_columns(moved, scores, positive, x), moved)


def columns_of_neutral_keys(moved: Floats, scores: Floats, positive: Bools, x: Numbers) -> Floats:
    """Pull the neutral keys, too."""
    ends = moved.max(-2, keepdims=True), moved.min(-2, keepdims=True)
    return pulled(moved, ends, positive, x, ~x.masked_K[x.key_labels_BM])
