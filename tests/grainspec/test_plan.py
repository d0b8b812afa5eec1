"""Compiling a plan: its labels, words and strengths, its facts, and what differs between two."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quarters import SPEC, compiled, quarters

from grainspec import GrainError, dumps, parse, parse_all
from grainspec.model.spec import PROFILES, EditSpec
from grainspec.plan.backbone import leading_timesteps
from grainspec.plan.compile import compile_plan
from grainspec.plan.diff import differences, differences_text
from grainspec.plan.facts import facts, facts_text
from grainspec.plan.mask_plan import MaskPlan, key_frames
from grainspec.regions.layout import Layout
from grainspec.testing import Case, layouts, plans, word_backbone


def test_labels_words_and_strengths_of_a_known_layout() -> None:
    plan = compiled()
    first, second = plan.levels
    assert first.labels_FHW.shape == (2, 8, 8)
    assert second.labels_FHW.shape == (2, 4, 4)
    assert first.labels_FHW.dtype == np.uint8
    edits = [edit.region for edit in plan.edits]
    assert edits == ["left", "right", "trees"]
    assert [edit.tokens for edit in plan.edits] == [((2,),), ((5,),), ((7,), (10,))]
    left = plan.members_CE[:, 0]
    assert (
        left[first.labels_FHW[0]] == (np.arange(8) < 2)[None] & (np.arange(8) < 6)[:, None]
    ).all()
    label = int(first.labels_FHW[0, 0, 0])
    share = 12 / 64
    assert first.cross_attract_FC[0, label] == pytest.approx(1 - share)
    assert first.self_attract_FC[0, label] == pytest.approx(0.3 * (1 - share / 2))  # of two frames
    right = int(first.labels_FHW[0, 0, 7])
    assert first.cross_attract_FC[0, right] == pytest.approx(0.5 * (1 - share))
    assert first.cross_repel_FC[0, right] == pytest.approx(2 * (1 - share))
    nobody = int(first.labels_FHW[0, 7, 0])
    assert not plan.members_CE[nobody].any()
    assert first.cross_attract_FC[0, nobody] == first.self_attract_FC[0, nobody] == 0
    assert first.cross_repel_FC[0, nobody] == 1  # `outside repelled`
    assert first.self_repel_FC[0, nobody] == pytest.approx(0.3)
    assert plan.cross_relation_CT[label].nonzero()[0].tolist() == [2]
    assert plan.edited_FHW[:, :6].all()
    assert not plan.edited_FHW[:, 6:].any()


def test_words_of_no_edit_push_by_a_share() -> None:
    plan = compiled()
    assert (plan.repel_shares_T == 1).all()
    attention = SPEC.attention.model_copy(update={"unbound": 0.25})
    spec = SPEC.model_copy(update={"attention": attention})
    softer = compile_plan(spec, quarters(), word_backbone(levels=2)).plan
    assert np.flatnonzero(softer.repel_shares_T == 1).tolist() == [2, 5, 7, 10]
    assert (np.delete(softer.repel_shares_T, [2, 5, 7, 10]) == 0.25).all()
    assert softer != plan
    for name, array in plan.arrays().items():
        assert (array == softer.arrays()[name]).all()


def test_a_plan_has_what_the_spec_and_its_profile_say() -> None:
    demo = compile_plan(SPEC.model_copy(update={"model": "demo"}), quarters(), word_backbone())
    assert (demo.plan.attention, compiled().attention) == (PROFILES["demo"], PROFILES["videograin"])
    said = parse(dumps(SPEC) + "attention demo { decay 0.5  levels 1 }")
    plan = compile_plan(said, quarters(), word_backbone()).plan
    expected = PROFILES["demo"].model_copy(update={"decay": 0.5, "levels": (1,)})
    assert plan.attention == said.modulation == expected


def test_the_schedule() -> None:
    plan = compiled()
    assert [plan.is_active(step, 50, 500) for step in (0, 14, 15, 49)] == [True, True, False, False]
    assert plan.schedule(1001) == 1  # `timestep_offset 1`
    assert plan.schedule(0) == plan.schedule(1) == 0
    for until, active in ((0, 0), (0.01, 1), (0.04, 2), (0.29, 15), (0.5, 25), (1, 50)):
        attention = plan.attention.model_copy(update={"until": until})
        short = replace(plan, attention=attention)
        assert sum(short.is_active(step, 50, 500) for step in range(50)) == active
    late = replace(plan, attention=plan.attention.model_copy(update={"until_timestep": 800}))
    times = leading_timesteps(50, 1000)
    assert sum(late.is_active(step, 50, time) for step, time in enumerate(times)) == 10
    assert not late.is_active(0, 50, 799.5)
    assert plan.schedule(501) == pytest.approx(0.5**5)
    right = plan.levels[0]
    scaled = plan.at(1001, right.cross_repel_FC)
    assert scaled.max() == 1  # 2 * 0.8125, clamped
    assert plan.at(501, right.cross_repel_FC).max() == pytest.approx(2 * 0.8125 / 32)


@given(plans())
def test_every_pair_is_positive_or_negative_and_relations_are_sound(case: Case) -> None:
    layout, plan = case.layout, case.plan
    relation = plan.self_relation_CC
    assert relation.dtype == np.bool_
    assert (relation == relation.T).all()
    for row, bits in enumerate(plan.members_CE):
        for column, others in enumerate(plan.members_CE):
            assert relation[row, column] == bool((bits & others).any())
    for index, edit in enumerate(plan.edits):
        positions = sorted(t for tokens in edit.tokens for t in tokens)
        assert plan.words_ET[index].nonzero()[0].tolist() == positions
    crossing = plan.cross_relation_CT
    for row, bits in enumerate(plan.members_CE):
        expected = np.zeros(crossing.shape[1], bool)
        for index in bits.nonzero()[0]:
            expected |= plan.words_ET[index]
        assert (crossing[row] == expected).all()
    assert layout.names == tuple(edit.region for edit in plan.edits)


@given(plans(), st.floats(0, 1000))
def test_strengths_are_within_bounds(case: Case, timestep: float) -> None:
    spec, plan = case.spec, case.plan
    for level in plan.levels:
        for table, weight in (
            (level.cross_attract_FC, spec.modulation.cross),
            (level.cross_repel_FC, spec.modulation.cross),
            (level.self_attract_FC, spec.modulation.self_),
            (level.self_repel_FC, spec.modulation.self_),
        ):
            assert (table >= 0).all()
            assert (table <= 4 * weight + 1e-6).all()
            if spec.modulation.outside == "unmodulated":
                assert (table[:, 0] == 0).all()
            at = plan.at(timestep, table)
            assert (at >= 0).all()
            assert (at <= 1).all()
        assert (level.cross_attract_FC[:, 0] == 0).all()
        assert (level.self_attract_FC[:, 0] == 0).all()


@given(plans(), st.randoms(use_true_random=False))
def test_renaming_regions_changes_nothing_but_names(case: Case, rng: object) -> None:
    spec, layout, plan = case.spec, case.layout, case.plan
    fresh = {name: f"renamed_{i}" for i, name in enumerate(layout.names)}
    owners = {edit.owner for edit in spec.changes if edit.owner}
    fresh |= {name: f"owner_{i}" for i, name in enumerate(sorted(owners - fresh.keys()))}
    changed = spec.model_copy(
        update={
            "edits": tuple(
                edit.model_copy(
                    update={"region": fresh[edit.region]}
                    | ({"owner": fresh[edit.owner]} if edit.owner else {})
                )
                for edit in spec.claims
            )
        }
    )
    renamed = Layout(tuple(fresh[n] for n in layout.names), layout.bits_FHW, layout.frames)
    other = compile_plan(changed, renamed, case.backbone).plan
    for name, array in plan.arrays().items():
        assert (array == other.arrays()[name]).all()


@given(layouts(["left", "right", "trees"], size=(72, 54)), st.sampled_from(["each", "full"]))
def test_flipping_frames_and_pixels_flips_the_plan(layout: Layout, scope: str) -> None:
    """With cells of nine pixels, so that a cell has one pixel in its middle."""
    backbone = word_backbone(levels=1, pixels_per_latent=9)
    attention = SPEC.attention.model_copy(update={"frames": scope, "resize": "nearest"})
    spec = SPEC.model_copy(update={"attention": attention})
    flipped = Layout(layout.names, layout.bits_FHW[::-1, :, ::-1], layout.frames)
    (here,) = compile_plan(spec, layout, backbone).plan.levels
    (there,) = compile_plan(spec, flipped, backbone).plan.levels
    assert (here.labels_FHW == there.labels_FHW[::-1, :, ::-1]).all()
    np.testing.assert_allclose(here.cross_attract_FC, there.cross_attract_FC[::-1])
    np.testing.assert_allclose(here.self_repel_FC, there.self_repel_FC[::-1])


@given(plans())
def test_compiling_again_gives_the_same_plan(case: Case) -> None:
    assert compile_plan(case.spec, case.layout, case.backbone).plan == case.plan


def test_a_cell_is_edited_if_half_of_it_is_or_its_centre() -> None:
    masks = {name: np.zeros((1, 64, 64), bool) for name in ("left", "right", "trees")}
    masks["left"][:, 0:8, 0:3] = True  # 3 of the 8 columns of a cell, beside its centre
    masks["right"][:, 8:16, 0:4] = True  # half of a cell, beside its centre
    masks["trees"][:, 16:24, 4:5] = True  # one column, through the centre
    for rule, edited in (
        ("nearest", [False, True, True, False]),
        ("corner", [True, True] + [False] * 2),
    ):
        attention = SPEC.attention.model_copy(update={"resize": rule})
        spec = SPEC.model_copy(update={"attention": attention})
        plan = compile_plan(spec, Layout.of(masks), word_backbone(levels=2)).plan
        assert plan.edited_FHW[0, :4, 0].tolist() == edited
        assert plan.edited_FHW.sum() == 2


def test_words_that_are_not_read_are_a_warning() -> None:
    spec = SPEC.model_copy(update={"target": SPEC.target + " " + "far " * 90 + "away"})
    (warning,) = compile_plan(spec, quarters(), word_backbone(levels=2)).warnings
    assert (warning.code, warning.is_error) == ("G403", False)
    assert "“far far far far …”, at the end of `target`" in warning.message


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("each", [[0], [1], [2]]),
        ("first_last", [[0, 2], [0, 2], [0, 2]]),
        ("sparse_causal", [[0, 0], [0, 0], [0, 1]]),
        ("full", [[0, 1, 2]] * 3),
    ],
)
def test_frame_scopes(scope: str, expected: list[list[int]]) -> None:
    assert key_frames(scope, 3).tolist() == expected  # type: ignore[arg-type]


def code_of(spec: EditSpec, **backbone: int) -> str:
    with pytest.raises(GrainError) as raised:
        compile_plan(spec, quarters(), word_backbone(**backbone))
    return raised.value.diagnostics[0].code


def test_what_a_backbone_cannot_do_is_an_error() -> None:
    assert code_of(SPEC, max_tokens=6) == "G402"
    assert code_of(SPEC, levels=2, pixels_per_latent=48) == "G314"
    assert code_of(SPEC, levels=1, frames_per_latent=4) == "G314"  # two frames: 1 or 5
    attention = SPEC.attention.model_copy(update={"levels": (0, 5)})
    assert code_of(SPEC.model_copy(update={"attention": attention}), levels=2) == "G404"


def test_levels_that_are_left_alone() -> None:
    attention = SPEC.attention.model_copy(update={"levels": (1,)})
    spec = SPEC.model_copy(update={"attention": attention})
    plan = compile_plan(spec, quarters(), word_backbone(levels=2)).plan
    assert [level.modulated for level in plan.levels] == [False, True]


@pytest.mark.parametrize(
    ("attention", "lost"),
    [
        ("", [1]),
        ("attention { levels all }", [0, 1]),  # no corner of a token is in it
        ("attention { levels all resize nearest }", [1]),
        ("attention { resize any }", []),
        ("attention { levels all resize area }", [0, 1]),
        ("attention { levels all resize area threshold 10% }", [1]),
        ("attention { resize area threshold 3% }", []),
    ],
)
def test_a_region_that_vanishes_at_a_level_is_a_warning(attention: str, lost: list[int]) -> None:
    masks = {name: quarters().mask(name) for name in ("left", "right", "trees")}
    tiny = np.zeros((2, 64, 64), bool)
    tiny[:, 50:53, 4:7] = True  # 9 of a token's 64 pixels, one of them at its centre
    spec = parse(dumps(SPEC) + attention)
    compiled = compile_plan(spec, Layout.of(masks | {"left": tiny}), word_backbone(levels=2))
    for warning in compiled.warnings:
        assert warning.code == "G401"
        assert "resize any" in warning.cure
    said = " ".join(warning.message for warning in compiled.warnings)
    assert [level for level in (0, 1) if str(level) in said] == lost


def test_latent_frames_of_several_frames() -> None:
    layout = quarters()
    masks = {name: np.repeat(layout.mask(name)[:1], 9, 0) for name in layout.names}
    masks["left"][4] = False  # of the frames 1 to 4, the last
    masks["right"][7] = False  # of the frames 5 to 8, the one in the middle
    backbone = word_backbone(levels=1, frames_per_latent=4)
    plan = compile_plan(SPEC, Layout.of(masks), backbone).plan
    assert [list(group) for group in plan.groups] == [[0], [1, 2, 3, 4], [5, 6, 7, 8]]
    assert len(plan.frames) == 9
    (level,) = plan.levels
    assert level.labels_FHW.shape == plan.edited_FHW.shape == (3, 8, 8)
    areas = plan.areas(level)
    assert areas[:, 0].tolist() == [areas[0, 0]] * 3
    assert areas[:, 1].tolist() == [areas[0, 1], areas[0, 1], 0]
    assert plan.key_frames_FK.tolist() == [[0, 1, 2]] * 3


def test_facts_say_what_will_be_done() -> None:
    plan = compiled()
    found = facts(plan, timesteps=leading_timesteps(50, 1000))
    assert found["schedule"]["modulated_steps"] == 15
    level = found["edits"][0]["levels"][0]
    assert (level["tokens"], level["grid"]) == (24, [8, 8])
    assert found["schedule"]["modulated_timesteps"] == [981, 701]
    full = np.array([0.98, 0.7]) ** 5  # `timestep_offset 1`
    assert found["schedule"]["share"] == pytest.approx(full.tolist(), abs=1e-4)
    assert list(level["cross_attract"]) == ["full", "first", "last"]
    assert [*level["cross_attract"].values()] == pytest.approx([0.8125, *0.8125 * full], abs=1e-4)
    text = facts_text(found)
    assert "edit left" in text
    assert "“robot”" in text
    assert "15 of 50 steps (timesteps 981 to 701, strengths x 0.90 to 0.17)" in text
    assert "norm auto, phrases isolated, unbound 1" in text
    assert "18.8%   not modulated" in text
    assert "18.8%   0.73/0.73 → 0.14/0.14    0.25/0.25 → 0.05/0.05" in text
    choices = "timestep_offset 1, unconditional empty_prompt, outside repelled, self_area squared"
    assert f"unbound 1\nwith {choices}, overlap sum, resize corner\n" in text


def test_compiling_loads_no_torch() -> None:
    source = (
        "import sys, grainspec, grainspec.plan.compile, grainspec.plan.save, grainspec.regions.bind\n"
        "loaded = {'torch', 'diffusers', 'transformers'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", source], check=True)


def test_free_regions_have_features_of_their_own_and_no_words() -> None:
    def compiled(edits: str) -> MaskPlan:
        text = (
            'grain 1 video "v" target "a bear" region a = all region b = all region c = all '
            f'edit a -> "bear" {edits}'
        )
        spec = parse(text)
        masks = {}
        for index, claim in enumerate(spec.claims):
            mask = np.zeros((2, 64, 64), np.bool_)
            mask[:, :, 20 * index : 20 * index + 20] = True
            masks[claim.region] = mask
        return compile_plan(spec, Layout.of(masks), word_backbone(levels=2)).plan

    plan, without = compiled("free b, c"), compiled("keep b, c")
    assert [(edit.region, edit.verb) for edit in plan.edits] == [
        ("a", "edit"),
        ("b", "free"),
        ("c", "free"),
    ]
    assert plan.self_relation_CC.astype(int).tolist() == np.diag([0, 1, 1, 1]).tolist()
    assert not plan.cross_relation_CT[2:].any()
    for level in plan.levels:
        assert (level.cross_attract_FC[:, 2:] == 0).all()
        assert (level.cross_repel_FC[:, 2:] == 0).all()
        assert (level.self_attract_FC[:, 1:] > 0.1).all()
    assert plan.edited_FHW.mean() > 2.5 * without.edited_FHW.mean()
    assert plan.levels[0].cross_attract_FC[0, 1] == without.levels[0].cross_attract_FC[0, 1]


def test_free_contradicts_keep_and_edit() -> None:
    text = 'grain 1 video "v" target "a bear" region a = all region b = all edit a -> "bear" {}'
    assert "G107" in str(parse_all(text.format("keep b free b")).diagnostics[0])
    assert "G109" in str(parse_all(text.format("free a keep b")).diagnostics[0])
    assert "G109" in str(parse_all(text.format("free b, b")).diagnostics[0])
    assert parse_all(text.format("free b")).diagnostics == ()


def test_what_differs_between_plans() -> None:
    plan, run = compiled(), leading_timesteps(50, 1000)
    assert differences(plan, plan, old_timesteps=run, new_timesteps=run) == []
    other = parse(
        """
        grain 1
        video "c"
        model "owner/name"
        target "a robot and a polar bear before trees"
        region left = all
        region right = all
        region more = all
        edit left -> "robot"
        edit right -> "polar bear" { weight 0.5 repel 2 }
        free more
        attention { until 40% frames each levels 0 phrases in_context unbound 0.5 }
        """
    )
    masks = {name: quarters().mask(name) for name in ("left", "right", "trees")}
    masks["left"][:, :, 16:24], masks["trees"][:, :, 16:24] = True, False
    layout = Layout.of({"left": masks["left"], "right": masks["right"], "more": masks["trees"]})
    against = compile_plan(other, layout, word_backbone(levels=2)).plan
    found = differences(plan, against, old_timesteps=run, new_timesteps=leading_timesteps(40, 1000))
    said = {(d.what, d.region, d.level): (d.before, d.after) for d in found}
    assert said["steps", None, None] == (50, 40)
    assert said["modulated steps", None, None] == (15, 16)
    assert said["frames", None, None] == ("full", "each")
    assert said["phrases", None, None] == ("isolated", "in_context")
    assert said["unbound", None, None] == (1.0, 0.5)
    assert said["phrase", "right", None] == ("bear", "polar bear")
    assert said["text tokens", "right", None] == ([[5]], [[5, 6]])
    assert said["edit", "trees", None] == ("edit “trees”", None)
    assert said["edit", "more", None] == (None, "free")
    assert said["latent tokens", "left", 0] == (24, "40 (0 left, 16 joined)")
    assert said["modulated", "left", 1] == (True, False)
    assert said["cross attract", "left", 0] == pytest.approx((1 - 12 / 64, 1 - 20 / 64), abs=1e-4)
    assert ("cross attract", "right", 0) not in said
    text = differences_text(found)
    assert "left\n  level 0: modulated: False → True" in text
    assert "  level 0: cross attract: 0.8125 → 0.6875" in text
    assert differences_text([]) == "no difference"
