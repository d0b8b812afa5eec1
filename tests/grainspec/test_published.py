"""The profile `videograin` against the formulas of VideoGrain's published code."""

from __future__ import annotations

import numpy as np
import published
import pytest
from published import BACKBONE, layout_of, spec_of

from grainspec.model.spec import PROFILES
from grainspec.plan.compile import compile_plan
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.layout import Layout


def scores_of(
    plan: MaskPlan, number: int, kind: str, scores: np.ndarray, time: float
) -> np.ndarray:
    """Scores under a plan at a level, in double: equation (1) of the operator."""
    level = plan.levels[number]
    attract: np.ndarray
    repel: np.ndarray
    shares: np.ndarray
    labels = level.labels_FHW.reshape(len(plan.frames), -1)
    frame, label = np.repeat(np.arange(len(labels)), labels.shape[1]), labels.reshape(-1)
    attract, repel = (
        plan.at(time, getattr(level, f"{kind}_{name}_FC"))[frame, label, None].astype(float)
        for name in ("attract", "repel")
    )
    if kind == "self":
        positive, shares = plan.self_relation_CC[np.ix_(label, label)], np.ones(1)
    else:
        positive, shares = plan.cross_relation_CT[label], plan.repel_shares_T
    most, least = scores.max(1, keepdims=True), scores.min(1, keepdims=True)
    up, down = attract * (most - scores), shares * repel * (scores - least)
    return np.asarray(scores + np.where(positive, up, -down))


@pytest.mark.parametrize("seed", range(200))
def test_scores_are_those_of_the_published_code(seed: int) -> None:
    rng = np.random.default_rng(seed)
    regions, free = int(rng.integers(1, 5)), rng.random() < 0.3
    layout = layout_of(rng, regions)
    plan = compile_plan(spec_of(regions, free and regions > 1), layout, BACKBONE).plan
    masks = np.stack([layout.mask(f"r{number}") for number in range(regions)]).astype(float)
    times = BACKBONE.timesteps(published.STEPS)
    for step in (0, int(rng.integers(1, 15)), 15, 49):
        share = published.schedule(step, times[step])
        assert plan.is_active(step, published.STEPS, times[step]) == (share > 0)
    step = int(rng.integers(published.MODULATED))
    share = published.schedule(step, times[step])
    assert [level.modulated for level in plan.levels] == [False, True, True, True]
    for number in published.LEVELS:
        level = published.level(masks, plan.words_ET, number)
        for kind, positive, strength in (
            ("self", level.self_NN, level.self_N),
            ("cross", level.cross_NT, level.cross_N),
        ):
            scores = rng.normal(size=positive.shape) * 3
            expected = published.modulated(scores, positive, strength * share)
            found = scores_of(plan, number, kind, scores, times[step])
            np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


DEPARTURES = {
    "timestep_offset 0": "timestep_offset",
    "outside unmodulated": "outside",
    "self_area share": "self_area",
    "overlap union": "overlap",
    "resize nearest": "resize",
    "levels all": "levels",
}


@pytest.mark.parametrize(("settings", "name"), DEPARTURES.items())
def test_each_choice_departs_from_the_published_code(settings: str, name: str) -> None:
    """With our choice in place of one of the profile's, the comparison fails."""
    rng = np.random.default_rng(3)
    layout = layout_of(rng, 3)
    ours = compile_plan(spec_of(3, False, f"{{ {settings} }}"), layout, BACKBONE).plan
    theirs = compile_plan(spec_of(3, False), layout, BACKBONE).plan
    assert getattr(ours.attention, name) != getattr(PROFILES["videograin"], name)
    if name == "levels":
        assert [level.modulated for level in ours.levels] == [True] * 4
        return
    scores = rng.normal(size=(theirs.levels[1].labels_FHW.size,) * 2)
    plans = (ours, theirs)
    moved = [scores_of(plan, 1, "self", scores, 981.0) for plan in plans]
    assert abs(moved[0] - moved[1]).max() > 1e-4


def test_areas_of_more_than_the_whole_do_not_turn_strengths_around() -> None:
    """The published code has negative strengths there; the profile has none."""
    whole = np.ones((2, 64, 64), bool)
    plan = compile_plan(
        spec_of(3, False), Layout.of({f"r{number}": whole for number in range(3)}), BACKBONE
    ).plan
    assert [float(level.cross_attract_FC.min()) for level in plan.levels] == [0.0] * 4
    assert float(plan.levels[1].self_attract_FC.max()) == pytest.approx(0)
    assert all((level.self_repel_FC >= 0).all() for level in plan.levels)


def test_strengths_of_a_region_that_fills_one_of_two_frames() -> None:
    """Its area is half of the keys, and a quarter of the squared area."""
    mask = np.zeros((2, 64, 64), bool)
    mask[0] = True
    plan = compile_plan(spec_of(1, False), Layout.of({"r0": mask}), BACKBONE).plan
    level = plan.levels[1]
    assert level.self_attract_FC[0, 1] == pytest.approx(0.3 * (1 - 1 / 4))
    assert level.cross_attract_FC[0, 1] == 0
    assert level.self_repel_FC[1, 0] == pytest.approx(0.3)
    assert level.cross_repel_FC[1, 0] == 1
    assert level.self_attract_FC[1, 0] == level.cross_attract_FC[1, 0] == 0
