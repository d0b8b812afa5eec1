"""Windows over a long clip, and the plans of some of its frames."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle import dense_levels, difference

from grainspec import ALL, Builder, EditSpec, GrainError, check, dumps, override, parse
from grainspec.model.spec import Context, FrameScope
from grainspec.plan.backbone import Backbone, frame_groups
from grainspec.plan.compile import compile_plan
from grainspec.plan.windows import evenly, frame_windows, plan_of_frames
from grainspec.regions.layout import Layout
from grainspec.testing import layouts, specs, word_backbone
from grainspec.testing.fitting import fitting

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
    spec = fitting(draw(specs(max_level=1, variants=0)), BACKBONE)
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


@settings(max_examples=60)
@given(clips(), st.sampled_from(get_args(FrameScope)))
def test_the_plan_in_another_scope_is_that_compiled_with_it(
    clip: tuple[EditSpec, Layout, list[int]], scope: FrameScope
) -> None:
    spec, layout, frames = clip
    found = plan_of_frames(compile_plan(spec, layout, BACKBONE).plan, frames, scope)
    other = spec.replaced({}, attention=spec.attention.replaced({}, frames=scope))
    assert found == compile_plan(other, layout.at(frames), BACKBONE).plan


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


# --- latent frames that stand for several frames ---

GROUPED = {
    "one, then fours": word_backbone(levels=2, frames_per_latent=4),
    "fives and eights": word_backbone(levels=2, frames_per_latent=8, first_frames=5),
    "pairs": word_backbone(levels=2, frames_per_latent=2, first_frames=2),
    "none alone": word_backbone(levels=2, frames_per_latent=4, first_frames=4),
    "two, then singles": word_backbone(levels=2, first_frames=2),
}


@pytest.mark.parametrize("name", GROUPED)
@settings(max_examples=40)
@given(st.data())
def test_the_plan_of_some_latent_frames_is_that_compiled_for_their_frames(
    name: str, data: st.DataObject
) -> None:
    backbone = GROUPED[name]
    spec = fitting(data.draw(specs(max_level=1, variants=0)), backbone)
    count = data.draw(st.integers(1, 4))
    frames = backbone.first_frames + backbone.frames_per_latent * (count - 1)
    names = [edit.region for edit in spec.claims]
    layout = data.draw(layouts(names, size=(40, 24), frames=frames))
    chosen = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1)))
    plan = compile_plan(spec, layout, backbone).plan
    if backbone.first_frames != backbone.frames_per_latent and chosen[0] != 0:
        with pytest.raises(ValueError, match="first latent frame"):
            plan_of_frames(plan, chosen)
        chosen = [0, *chosen]
    alone = layout.at([frame for index in chosen for frame in plan.groups[index]])
    found = plan_of_frames(plan, chosen)
    assert found == compile_plan(spec, alone, backbone).plan
    assert difference(found, spec, dense_levels(spec, alone, backbone)) == ""


@settings(max_examples=200)
@given(st.integers(1, 60), contexts(), st.sampled_from([*GROUPED.values()]))
def test_windows_have_the_latent_frames_that_cover_a_context(
    count: int, context: Context, backbone: Backbone
) -> None:
    per, first = backbone.frames_per_latent, backbone.first_frames
    try:
        windows = frame_windows(count, context, per, first)
    except GrainError as error:
        (finding,) = error.diagnostics
        assert finding.code == "G419"
        written = dict(re.findall(r"(\w+) (\d+)", finding.cure.split("`")[1]))
        cured = context.replaced({}, **{name: int(value) for name, value in written.items()})
        assert cured != context
        windows = frame_windows(count, cured, per, first)  # what the cure says works
        context = cured
    assert sum(len(window.frames) for window in windows) >= count
    if len(windows) == 1:
        return
    in_window = set(range(context.frames))
    covering = {
        index
        for index, group in enumerate(frame_groups(10_000, per, first))
        if in_window & {*group}
    }
    for window in windows:
        assert len(window.frames) == len(covering)
        assert first == per or window.frames[0] == 0
    total = np.zeros(count)
    for window in windows:
        total[list(window.frames)] += window.weights
    np.testing.assert_allclose(total, 1, atol=1e-12)


def refusal(context: Context, count: int, **backbone: int) -> tuple[str, str, object]:
    grouped = word_backbone(levels=1, **backbone)  # type: ignore[arg-type]
    text = f'grain 1 video "c" target "a" region r = all edit r -> "a"\n{context}'
    spec = parse(text)
    layout = Layout.of({"r": np.ones((count, 8, 8), bool)})
    with pytest.raises(GrainError) as raised:
        compile_plan(spec, layout, grouped)
    (finding,) = raised.value.diagnostics
    assert finding.code == "G419"
    return finding.message, finding.cure, finding.span and finding.span.line


def test_windows_that_lack_what_the_model_needs_are_refused_before_it_is_loaded() -> None:
    assert refusal("context { keys 0 }", 33, frames_per_latent=4) == (
        "windows with `keys 0` lack the first latent frame, which the model needs",
        "Write `keys 1`, which adds the first frame of the clip to every window.",
        2,
    )
    assert refusal("context { frames 5  keys 0 }", 33, frames_per_latent=4)[1] == (
        "Write `context { frames 9  overlap 4  keys 1 }`: "
        "a key frame is the first frame of the clip."
    )
    _, cure, _ = refusal("context { frames 1  overlap 0  keys 0 }", 33, frames_per_latent=4)
    written = f'grain 1 video "c" target "a" region r = all edit r -> "a" {cure.split("`")[1]}'
    assert parse(written).context == Context(frames=5, overlap=0, keys=1)
    assert refusal("context { frames 9  keys 3 }", 33, frames_per_latent=4) == (
        "windows of 9 frames with `overlap 4` and `keys 3` contain no new latent frame",
        "Write `frames 17`: each key frame takes 4 frames of a window.",
        2,
    )
    pairs = word_backbone(levels=1, frames_per_latent=2, first_frames=2)
    assert len(frame_windows(20, Context(keys=0), 2, 2)) > 1  # no frame stands alone
    spec = parse('grain 1 video "c" target "a" region r = all edit r -> "a" context { keys 0 }')
    layout = Layout.of({"r": np.ones((8, 8, 8), bool)})
    compile_plan(spec, layout, pairs)
    causal = word_backbone(levels=1, frames_per_latent=4)
    compile_plan(spec, layout.at(range(5)), causal)  # the clip fits into one window


def test_context_through_every_door() -> None:
    text = 'grain 1 video "c" target "a bear" region r = all edit r -> "bear" '
    assert parse(text).context is None
    assert parse(text + "context").context == Context()
    shown = dumps(parse(text + "context { frames 16 overlap 5 }"))
    assert "context { overlap 5 }" in shown
    assert override(parse(text), ["context.frames=9"]).context == Context(frames=9)
    assert [it.code for it in check(override(parse(text), ["context.keys=12"]))] == ["G203"]
    built = Builder("c").target("a bear").region("r", ALL).edit("r", "bear").context(frames=6)
    with pytest.raises(GrainError) as raised:
        built.build()
    found = raised.value.diagnostics[0]
    assert (found.code, found.span is not None) == ("G203", True)
    assert "less than `frames`" in found.cure
