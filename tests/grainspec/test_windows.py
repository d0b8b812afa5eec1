"""Windows over a long clip, and the plans of some of its frames."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle import dense_levels, difference

from grainspec import Builder, EditSpec, GrainError, dumps, override, parse
from grainspec.model.spec import Context
from grainspec.plan.compile import compile_plan
from grainspec.plan.windows import evenly, frame_windows, plan_of_frames
from grainspec.regions.layout import Layout
from grainspec.testing import layouts, specs, word_backbone

BACKBONE = word_backbone(levels=2)


@st.composite
def contexts(draw: st.DrawFn) -> Context:
    overlap, keys = draw(st.integers(0, 12)), draw(st.integers(0, 6))
    own = draw(st.integers(1, 12))
    return Context(frames=overlap + keys + own, overlap=overlap, keys=keys)


@settings(max_examples=300)
@given(st.integers(1, 200), contexts())
def test_windows_cover_every_frame_once(count: int, context: Context) -> None:
    windows = frame_windows(count, context)
    total = np.zeros(count)
    keys = set(evenly(context.keys, count - 1))
    for window in windows:
        assert list(window.frames) == sorted(set(window.frames))
        assert len(window.frames) == min(count, context.frames)
        total[list(window.frames)] += window.weights
        if len(windows) > 1:
            assert keys <= set(window.frames)
    np.testing.assert_allclose(total, 1, atol=1e-12)
    # what counts of a window is one stretch of the clip; each shares enough with the next
    own = [[f for f, w in zip(*_of(window), strict=True) if w > 0] for window in windows]
    assert all(stretch == list(range(stretch[0], stretch[-1] + 1)) for stretch in own)
    assert all(len(set(a) & set(b)) >= context.overlap for a, b in pairwise(own))
    assert (len(windows) == 1) == (count <= context.frames)


def _of(window: object) -> tuple[tuple[int, ...], tuple[float, ...]]:
    return window.frames, window.weights  # type: ignore[attr-defined]


def test_key_frames_are_distinct_and_reach_both_ends() -> None:
    for count in range(2, 40):
        for last in range(count, 90):
            found = evenly(count, last)
            assert len(set(found)) == count
            assert (found[0], found[-1]) == (0, last)


def test_weights_fall_off_to_the_ends() -> None:
    middle = frame_windows(40, Context(frames=10, overlap=4, keys=0))[2]
    assert middle.weights[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert middle.weights == middle.weights[::-1]


@st.composite
def clips(draw: st.DrawFn) -> tuple[EditSpec, Layout, list[int]]:
    spec = draw(specs(max_level=1, variants=0))
    count = draw(st.integers(1, 6))
    layout = draw(layouts([edit.region for edit in spec.claims], size=(40, 24), frames=count))
    chosen = draw(st.sets(st.integers(0, count - 1), min_size=1))
    return spec, layout, sorted(chosen)


@settings(max_examples=150)
@given(clips())
def test_the_plan_of_some_frames_is_that_compiled_for_them(
    clip: tuple[EditSpec, Layout, list[int]],
) -> None:
    spec, layout, frames = clip
    found = plan_of_frames(compile_plan(spec, layout, BACKBONE).plan, frames)
    alone = layout.at(frames)
    assert found == compile_plan(spec, alone, BACKBONE).plan
    assert difference(found, spec, dense_levels(spec, alone, BACKBONE)) == ""


@given(clips(), st.data())
def test_frames_can_be_chosen_step_by_step(
    clip: tuple[EditSpec, Layout, list[int]], data: st.DataObject
) -> None:
    spec, layout, frames = clip
    assume(len(frames) > 1)
    plan = compile_plan(spec, layout, BACKBONE).plan
    less = sorted(data.draw(st.sets(st.integers(0, len(frames) - 1), min_size=1)))
    twice = plan_of_frames(plan_of_frames(plan, frames), less)
    assert twice == plan_of_frames(plan, [frames[index] for index in less])


@pytest.mark.parametrize("frames", [[], [1, 0], [0, 0], [-1], [3]])
def test_frames_that_cannot_be_taken(frames: list[int]) -> None:
    spec = parse('grain 1 video "c" target "a bear" region r = all edit r -> "bear"')
    layout = Layout.of({"r": np.ones((3, 40, 40), bool)})
    plan = compile_plan(spec, layout, BACKBONE).plan
    assert plan_of_frames(plan, [0, 1, 2]) is plan
    with pytest.raises(ValueError, match="in order"):
        plan_of_frames(plan, frames)


def test_latent_frames_of_several_are_not_taken_apart() -> None:
    spec = parse('grain 1 video "c" target "a bear" region r = all edit r -> "bear"')
    layout = Layout.of({"r": np.ones((5, 40, 40), bool)})
    plan = compile_plan(spec, layout, word_backbone(levels=2, frames_per_latent=4)).plan
    assert plan_of_frames(plan, range(len(plan.groups))) is plan
    with pytest.raises(ValueError, match="several"):
        plan_of_frames(plan, [0])


def test_context_through_every_door() -> None:
    text = 'grain 1 video "c" target "a bear" region r = all edit r -> "bear" '
    assert parse(text).context is None
    assert parse(text + "context").context == Context()
    shown = dumps(parse(text + "context { frames 16 overlap 5 }"))
    assert "context { overlap 5 }" in shown
    assert override(parse(text), ["context.frames=9"]).context == Context(frames=9)
    with pytest.raises(GrainError) as raised:
        override(parse(text), ["context.keys=12"])
    assert raised.value.diagnostics[0].code == "G203"
    with pytest.raises(GrainError) as raised:
        Builder("c").context(frames=6)
    found = raised.value.diagnostics[0]
    assert (found.code, found.span is not None) == ("G203", True)
    assert "less than `frames`" in found.cure
