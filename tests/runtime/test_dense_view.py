"""The picture of a level's pairs: its colours are the plan's relations and strengths."""

from __future__ import annotations

import numpy as np
import pytest

from grainspec import parse
from grainspec.plan.compile import compile_plan
from grainspec.regions.layout import Layout
from grainspec.testing import word_backbone
from grainspec_runtime.views.dense import _matrix, _subsampled, dense_picture


def test_pairs_have_their_colours() -> None:
    relation = np.array([[True, False], [False, True], [True, True]])
    attract, repel = np.array([1, 0.5, 0], np.float32), np.array([0, 1, 0], np.float32)
    colours = _matrix(relation, attract, repel, np.array([1, 0.5], np.float32))
    teal, purple, white = (0, 120, 110), (165, 0, 115), (255, 255, 255)
    half_teal = (128, 188, 182)
    assert [[tuple(map(int, pixel)) for pixel in row] for row in colours] == [
        [teal, white],
        [purple, half_teal],
        [white, white],
    ]


def test_large_grids_are_thinned_out() -> None:
    labels = np.arange(64 * 40, dtype=np.uint16).reshape(64, 40)
    shown = _subsampled(labels)
    assert len(shown) == 16 * 14
    assert shown[:2].tolist() == [0, 3]
    assert shown[14] == 4 * 40


@pytest.mark.parametrize("unbound", [1, 0.6])
def test_the_picture_of_a_level(unbound: float) -> None:
    spec = parse(
        'grain 1 video "c" target "a bear before trees" region r = all region t = all edit r -> '
        f'"bear" edit t -> "trees" attention {{ frames each self 1 decay 0 unbound {unbound} }}'
    )
    left = np.zeros((2, 64, 64), bool)
    left[:, :, :32] = True
    plan = compile_plan(spec, Layout.of({"r": left, "t": ~left}), word_backbone(levels=2)).plan
    level = plan.levels[1]
    picture = np.asarray(dense_picture(plan, level, frame=0, timestep=1000))
    attract, repel = np.array([[0, 120, 110], [165, 0, 115]]) - 255
    counts = [  # half the frame: λ = 0.5
        int((picture == (255 + colour).round().astype(np.uint8)).all(axis=2).sum())
        for colour in (attract * 0.5, repel * 0.5, repel * 0.5 * unbound)
    ]
    words = dense_picture(plan, level, frame=0, timestep=1000, words_only=True)
    only = (np.asarray(words) == (255 + attract * 0.5).round().astype(np.uint8)).all(axis=2).sum()
    pixels = (216 // 16 + 1) ** 2  # a pair; words are four times as wide
    to_tokens, to_words = 16 * 16 // 2, 16 * 4
    assert counts[0] == (to_tokens + to_words) * pixels
    assert only == to_words * pixels
    # Of seven words one is a token's own, and one the other edit's.
    if unbound == 1:
        assert counts[1] == counts[2] == (to_tokens + 6 * to_words) * pixels
    else:
        assert counts[1] == (to_tokens + to_words) * pixels
        assert counts[2] == 5 * to_words * pixels
