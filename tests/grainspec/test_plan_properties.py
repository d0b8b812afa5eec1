"""Each property of a plan has faults that it finds, by its name; valid plans have none."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pkgutil import resolve_name
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grainspec import parse
from grainspec.model.spec import EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.mask_plan import MaskPlan, PlanLevel
from grainspec.regions.layout import Layout
from grainspec.testing import INVARIANTS, Broken, Case, check_case, check_plan, plans, word_backbone
from grainspec.testing.case import Compiler, compiled
from grainspec.testing.check import violations

# --- cases by hand ---

TEXT = """
grain 1
video "c"
target "trees and a bear with a hat"
region trees = all
region bear = all
region hat = all
region road = all
edit trees -> "trees" {{ weight 0.5 repel 2 }}
edit bear -> "bear" {{ weight 1.5 }}
add part hat of bear -> "hat"
free road
attention {{ decay 2  until 29%  cross 0.7  self 0.6  {} }}
"""


def layout(frames: int = 5, side: int = 60) -> Layout:
    """Regions that overlap, move, end within latent tokens, and a hat that is less than one."""
    masks = {
        name: np.zeros((frames, side, side), bool) for name in ("trees", "bear", "hat", "road")
    }
    for frame in range(frames):
        masks["trees"][frame, 10:33, 7 : 34 + 3 * frame] = True
        masks["bear"][frame, 21:50, 20 + 4 * frame : 51] = True
        masks["hat"][frame, 18 : 24 + frame, 30 + frame : 44] = True
        masks["road"][frame, 52:side, :36] = True
    for name in ("trees", "bear", "road"):
        masks[name] &= ~masks["hat"]
    return Layout.of(masks, range(10, 10 + 2 * frames, 2))


def case(
    settings: str = "", backbone: Backbone | None = None, compiler: Compiler = compiled
) -> Case:
    """The case, compiled by a compiler; the road's other half is kept."""
    spec, drawn = parse(TEXT.format(settings)), layout()
    backbone = backbone or word_backbone(levels=3, pixels_per_latent=4)
    kept = np.zeros(drawn.bits_FHW.shape, bool)
    kept[:, 52:, 36:] = True
    plan = compiler(spec, drawn, backbone)
    return Case(spec, drawn, backbone, plan, kept, compiler=compiler)


BACKBONES = {
    "two levels": word_backbone(levels=2, pixels_per_latent=4),
    "cells of unequal size": word_backbone(levels=4, pixels_per_latent=5),
    "latent groups of two": word_backbone(levels=1, pixels_per_latent=4, frames_per_latent=2),
    "latent groups of four": word_backbone(levels=3, pixels_per_latent=4, frames_per_latent=4),
    "a video transformer": word_backbone(
        levels=1,
        pixels_per_latent=2,
        frames_per_latent=4,
        patch=2,
        shift=5,
        layer_count=30,
        padding_keys="neutral",
        start_tokens=0,
    ),
    "a joint transformer of pairs": word_backbone(
        levels=1,
        pixels_per_latent=5,
        frames_per_latent=2,
        first_frames=3,
        patch=2,
        layer_count=3,
        padding_keys="masked",
        start_tokens=4,
        padded="left",
    ),
    "attention at some levels": replace(
        word_backbone(levels=3, pixels_per_latent=4), attended=(0, 2)
    ),
    "no attention at the finest": replace(
        word_backbone(levels=2, pixels_per_latent=5), attended=(1,)
    ),
}
SETTINGS = ("", "resize any", "resize area threshold 25%", "frames sparse_causal", "frames each")


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", BACKBONES)
def test_they_hold_for_every_backbone(name: str, settings: str) -> None:
    check_case(case(settings, BACKBONES[name]))


@st.composite
def other_backbones(draw: st.DrawFn) -> Backbone:
    """Latent pixels of four sizes, latent groups, up to four levels, attention at some of them."""
    count = draw(st.integers(1, 4))
    attended = draw(st.sets(st.integers(0, count - 1)))
    backbone = word_backbone(
        levels=count,
        pixels_per_latent=draw(st.sampled_from([4, 5, 8, 16])),
        frames_per_latent=draw(st.sampled_from([1, 2, 4])),
        first_frames=draw(st.sampled_from([1, 1, 2, 3, 4])),
        patch=draw(st.sampled_from([1, 1, 2, 3])),
        shift=draw(st.sampled_from([None, 1, 3, 12])),
        layer_count=draw(st.sampled_from([None, 1, 40])),
        padding_keys=draw(st.sampled_from(["modulated", "neutral", "masked"])),
        start_tokens=draw(st.integers(0, 3)),
        padded=draw(st.sampled_from(["right", "left"])),
    )
    return replace(backbone, attended=tuple(sorted(attended)) or None)


@given(plans(backbone=other_backbones()))
def test_they_hold_of_drawn_cases_for_every_backbone(drawn: Case) -> None:
    check_case(drawn)


# --- faults ---


def on_plan(change: Callable[[MaskPlan], MaskPlan]) -> Compiler:
    return lambda spec, layout, backbone: replace(
        change(compiled(spec, layout, backbone)), _cache={}
    )


def with_values(**values: Any) -> Compiler:
    """Fields of the plan replaced, by values or by functions of the plan."""
    return on_plan(
        lambda plan: replace(
            plan, **{name: v(plan) if callable(v) else v for name, v in values.items()}
        )
    )


def with_edit(**values: Any) -> Compiler:
    """Fields of the first edit replaced."""
    return on_plan(
        lambda plan: replace(plan, edits=(replace(plan.edits[0], **values), *plan.edits[1:]))
    )


def with_level(change: Callable[[MaskPlan, PlanLevel], PlanLevel]) -> Compiler:
    """The last level replaced."""
    return on_plan(
        lambda plan: replace(plan, levels=(*plan.levels[:-1], change(plan, plan.levels[-1])))
    )


def one_class_more(plan: MaskPlan, members: np.ndarray) -> MaskPlan:
    levels = tuple(
        replace(
            level,
            **{
                f"{name}_FC": np.pad(getattr(level, f"{name}_FC"), ((0, 0), (0, 1)))
                for name in ("cross_attract", "cross_repel", "self_attract", "self_repel")
            },
        )
        for level in plan.levels
    )
    return replace(plan, members_CE=np.concatenate([plan.members_CE, members]), levels=levels)


def unused_class(plan: MaskPlan) -> MaskPlan:
    return one_class_more(plan, np.ones((1, len(plan.edits)), bool))


def class_twice(plan: MaskPlan) -> MaskPlan:
    other = one_class_more(plan, plan.members_CE[-1:])
    level = other.levels[-1]
    labels = level.labels_FHW.copy()
    last, new = len(plan.members_CE) - 1, len(plan.members_CE)
    labels.flat[np.flatnonzero(labels == last)[:1]] = new
    tables = {}
    for name in ("cross_attract", "cross_repel", "self_attract", "self_repel"):
        table = getattr(level, f"{name}_FC").copy()
        table[:, new] = table[:, last]
        tables[f"{name}_FC"] = table
    changed = replace(level, labels_FHW=labels, **tables)
    return replace(other, levels=(*other.levels[:-1], changed))


def raising(spec: EditSpec, layout: Layout, backbone: Backbone) -> MaskPlan:
    raise IndexError("list index out of range")


COMPILERS: dict[str, tuple[str, Compiler]] = {
    "not a plan": ("structure", lambda spec, layout, backbone: {}),  # type: ignore[dict-item, return-value]
    "a frame less": ("structure", with_values(frames=lambda plan: plan.frames[1:])),
    "an edit less": ("structure", with_values(edits=lambda plan: plan.edits[1:])),
    "a level less": ("structure", with_values(levels=lambda plan: plan.levels[1:])),
    "levels in another order": ("structure", with_values(levels=lambda p: p.levels[::-1])),
    "no class": ("structure", with_values(members_CE=lambda plan: plan.members_CE[:0])),
    "a class less": ("structure", with_values(members_CE=lambda plan: plan.members_CE[:-1])),
    "edits in class 0": ("structure", with_values(members_CE=lambda plan: ~plan.members_CE)),
    "a text token less": ("structure", with_values(words_ET=lambda plan: plan.words_ET[:, 1:])),
    "words as numbers": ("structure", with_values(words_ET=lambda p: p.words_ET.astype(np.uint8))),
    "words as lists": ("structure", with_values(words_ET=lambda plan: plan.words_ET.tolist())),
    "keys of no frame": ("structure", with_values(key_frames_FK=lambda p: p.key_frames_FK + 1)),
    "keys as int64": (
        "structure",
        with_values(key_frames_FK=lambda plan: plan.key_frames_FK.astype(np.int64)),
    ),
    "a frame of blending less": (
        "structure",
        with_values(edited_FHW=lambda plan: plan.edited_FHW[1:]),
    ),
    "labels as int64": (
        "structure",
        with_level(lambda _, one: replace(one, labels_FHW=one.labels_FHW.astype(np.int64))),
    ),
    "labels without a class": (
        "structure",
        with_level(lambda _, one: replace(one, labels_FHW=one.labels_FHW | np.uint8(64))),
    ),
    "strengths as float64": (
        "structure",
        with_level(lambda _, one: replace(one, self_repel_FC=one.self_repel_FC.astype(float))),
    ),
    "strengths that are NaN": (
        "structure",
        with_level(lambda _, one: replace(one, self_repel_FC=one.self_repel_FC / 0)),
    ),
    "another first latent frame": ("structure", with_values(first_frames=2)),
    "noise of another kind": ("structure", with_values(noise="flow")),
    "padding of a text token less": ("structure", with_values(neutral_T=lambda p: p.neutral_T[1:])),
    "padding as numbers": (
        "structure",
        with_values(masked_T=lambda plan: plan.masked_T.astype(np.uint8)),
    ),
    "blending by latent tokens": (
        "structure",
        with_values(edited_FHW=lambda plan: plan.edited_FHW[:, ::2, ::2]),
    ),
    "padding that nothing says": ("padding", with_values(neutral_T=lambda p: ~p.neutral_T)),
    "words that are absent": (
        "padding",
        with_values(masked_T=lambda plan: plan.words_ET.any(axis=0)),
    ),
    "strengths of another frame count": (
        "structure",
        with_level(lambda _, one: replace(one, cross_repel_FC=one.cross_repel_FC[1:])),
    ),
    "strength in class 0": (
        "structure",
        with_level(lambda _, one: replace(one, cross_repel_FC=one.cross_repel_FC + np.float32(1))),
    ),
    "other frames": ("provenance", with_values(frames=lambda p: tuple(f + 1 for f in p.frames))),
    "another target": ("provenance", with_values(target="trees and a bear with a cap")),
    "another backbone": ("provenance", with_values(backbone="other")),
    "other training steps": ("provenance", with_values(training_steps=500)),
    "other settings": (
        "provenance",
        with_values(attention=lambda p: p.attention.model_copy(update={"decay": 5.0})),
    ),
    "another order of edits": ("provenance", with_values(edits=lambda plan: plan.edits[::-1])),
    "another verb": ("provenance", with_edit(verb="add")),
    "another grain": ("provenance", with_edit(grain="class")),
    "another owner": ("provenance", with_edit(owner="bear")),
    "another phrase": ("provenance", with_edit(phrase="tree")),
    "another weight": ("provenance", with_edit(weight=1.0)),
    "another repulsion": ("provenance", with_edit(repel=0.5)),
    "no spans": ("provenance", with_edit(spans=(), tokens=())),
    "spans beyond the prompt": ("provenance", with_edit(spans=((0, 99),))),
    "other text tokens": ("provenance", with_edit(tokens=((2,),))),
    "an unused class": ("classes", on_plan(unused_class)),
    "two classes of the same edits": ("classes", on_plan(class_twice)),
    "labels of two bytes": (
        "classes",
        with_level(lambda _, one: replace(one, labels_FHW=one.labels_FHW.astype(np.uint16))),
    ),
    "everything may change": (
        "blend",
        with_values(edited_FHW=lambda plan: np.ones_like(plan.edited_FHW)),
    ),
    "kept pixels that may change": (
        "kept",
        with_values(edited_FHW=lambda plan: np.ones_like(plan.edited_FHW)),
    ),
    "an area of the whole clip": (
        "strengths",
        with_level(lambda _, one: replace(one, self_repel_FC=one.self_repel_FC * np.float32(0.9))),
    ),
    "a level not modulated": (
        "levels",
        with_level(lambda _, one: replace(one, modulated=not one.modulated)),
    ),
    "errors": ("compiling", raising),
}


@pytest.mark.parametrize("fault", COMPILERS)
def test_broken_compilers_are_named(fault: str) -> None:
    name, compiler = COMPILERS[fault]
    right = case()
    with np.errstate(all="ignore"), pytest.raises(Broken) as raised:
        check_plan(
            right.spec,
            right.layout,
            right.backbone,
            kept=right.kept,
            compiler=compiler,
            invariants=None if name in {"structure", "compiling"} else [name],
        )
    assert raised.value.invariant == name


@dataclass
class Patch:
    """A function of grainspec replaced, by one that is given the original first."""

    where: str
    fault: Any
    settings: str = ""
    backbone: Backbone | None = None


def area_without_ties(original: Any, block: np.ndarray, y: Any, x: Any, share: float) -> Any:
    return original(block, y, x, share * (1 + 1e-6))


def first_frame_of_a_group(original: Any, bits: Any, groups: Any, *rest: Any) -> Any:
    return original(bits, [list(group)[:1] for group in groups], *rest)


def corners(original: Any, extent: int, cells: int) -> np.ndarray:
    return np.arange(cells) * extent // cells


def strengths_of_the_clip(original: Any, plan: MaskPlan, frames: Any) -> MaskPlan:
    other = original(plan, frames)
    levels = tuple(
        replace(level, self_repel_FC=level.self_repel_FC * np.float32(0.5))
        for level in other.levels
    )
    return replace(other, levels=levels)


FADING = itertools.count(1)

PATCHES: dict[str, tuple[str, Patch]] = {
    "the corners of cells": ("regions", Patch("plan.tokens._centres", corners)),
    "cells shifted by a pixel": (
        "regions",
        Patch(
            "plan.tokens._edges",
            lambda original, extent, cells: np.minimum(original(extent, cells) + 1, extent - 1),
            "resize any",
        ),
    ),
    "the first frame of a group": (
        "regions",
        Patch(
            "plan.compile.to_tokens",
            first_frame_of_a_group,
            "",
            BACKBONES["latent groups of four"],
        ),
    ),
    "a threshold without ties": (
        "regions",
        Patch("plan.tokens._by_area", area_without_ties, "resize area threshold 25%"),
    ),
    "parts that lose nothing": (
        "regions",
        Patch("plan.compile._carve_tokens", lambda original, bits, edits: None, "resize any"),
    ),
    "blending without half": (
        "blend",
        Patch("plan.compile.share_claimed", lambda original, *clip: np.zeros_like(original(*clip))),
    ),
    "blending above half": (
        "blend",
        Patch("plan.compile.share_claimed", lambda original, *clip: original(*clip) - 1e-6),
    ),
    "halves that may not change": (
        "halves",
        Patch("plan.compile.share_claimed", lambda original, *clip: original(*clip) - 1e-6),
    ),
    "areas of the clip": (
        "areas",
        Patch(
            "plan.mask_plan.MaskPlan.areas",
            lambda original, plan, level: (
                original(plan, level).mean(axis=0, keepdims=True) + 0 * original(plan, level)
            ),
        ),
    ),
    "bytes of the labels": (
        "size",
        Patch("plan.mask_plan.MaskPlan.nbytes", lambda original, plan: original(plan) - 1),
    ),
    "steps rounded down": (
        "schedule",
        Patch("plan.mask_plan.first_steps", lambda original, share, steps: int(share * steps)),
    ),
    "a schedule of its own": (
        "schedule",
        Patch(
            "plan.mask_plan.MaskPlan.schedule",
            lambda original, plan, time: original(plan, max(0, time - 1)),
        ),
    ),
    "strengths that are not clamped": (
        "schedule",
        Patch(
            "plan.mask_plan.MaskPlan.at",
            lambda original, plan, time, table: table * np.float32(plan.schedule(time)),
        ),
    ),
    "timesteps without an offset": (
        "timesteps",
        Patch(
            "plan.backbone.leading_timesteps",
            lambda original, steps, training, offset, method: original(steps, training, 0, method),
        ),
    ),
    "timesteps of DDIM": (
        "timesteps",
        Patch(
            "plan.backbone.leading_timesteps",
            lambda original, steps, training, offset, method: original(steps, training, offset),
        ),
    ),
    "every scope full": (
        "scope",
        Patch(
            "plan.compile.key_frames",
            lambda original, scope, count: original("full", count),
            "frames each",
        ),
    ),
    "attention at every level": (
        "levels",
        Patch(
            "plan.compile.chosen_levels",
            lambda original, spec, backbone: frozenset(range(backbone.level_count)),
            "",
            BACKBONES["attention at some levels"],
        ),
    ),
    "files that forget what is modulated": (
        "saving",
        Patch(
            "testing.invariants.saved.load_plan",
            lambda original, path: replace(original(path), levels=()),
        ),
    ),
    "plans that are equal to nothing": (
        "saving",
        Patch("plan.mask_plan.MaskPlan.__eq__", lambda original, plan, other: False),
    ),
    "files that are not looked at": (
        "loading",
        Patch("plan.save._validate", lambda original, plan: None),
    ),
    "facts of another step": (
        "facts",
        Patch(
            "plan.facts._level_facts",
            lambda original, plan, level, edit, ends: original(
                plan, level, edit, {name: time / 2 for name, time in ends.items()}
            ),
        ),
    ),
    "areas of one frame": (
        "facts",
        Patch(
            "plan.facts._level_facts",
            lambda original, *rest: original(*rest) | {"area": original(*rest)["area"] / 2},
        ),
    ),
    "sizes that are not refused": (
        "refusals",
        Patch("plan.compile.check_size", lambda original, *rest: None),
    ),
    "frames that are not refused": (
        "refusals",
        Patch(
            "plan.compile.check_count",
            lambda original, *rest: None,
            "",
            BACKBONES["latent groups of four"],
        ),
    ),
    "levels that are not refused": (
        "refusals",
        Patch(
            "plan.compile.chosen_levels",
            lambda original, spec, backbone: frozenset(
                () if spec.modulation.levels == "all" else spec.modulation.levels
            ),
        ),
    ),
    "steps that are not refused": (
        "refusals",
        Patch("testing.invariants.answers.check_steps", lambda original, *rest: None),
    ),
    "no warning": (
        "warnings",
        Patch(
            "plan.compile.vanishing",
            lambda original, *rest: [],
            "",
            word_backbone(levels=4, pixels_per_latent=5),
        ),
    ),
    "windows with the strengths of the clip": (
        "windows",
        Patch("testing.invariants.windows.plan_of_frames", strengths_of_the_clip),
    ),
    "thresholds without ties": ("threshold", Patch("plan.tokens._by_area", area_without_ties)),
    "patches that nothing blends": (
        "blend",
        Patch(
            "plan.compile._edited",
            lambda original, layout, groups, backbone, tokens: original(
                layout, groups, backbone, np.zeros_like(tokens)
            ),
            "",
            BACKBONES["a video transformer"],
        ),
    ),
    "padding that is modulated": (
        "padding",
        Patch(
            "plan.compile._padding",
            lambda original, spec, backbone, words: np.zeros_like(words[0]),
            "",
            BACKBONES["a video transformer"],
        ),
    ),
    "padding that repels": (
        "padding",
        Patch(
            "plan.mask_plan.MaskPlan.repel_shares_T",
            property(lambda plan: np.ones(plan.words_ET.shape[1], np.float32)),
            "",
            BACKBONES["a joint transformer of pairs"],
        ),
    ),
    "fast regions without a warning": (
        "changing regions",
        Patch(
            "plan.compile.changing",
            lambda original, *given: iter(()),
            "resize nearest",
            BACKBONES["latent groups of four"],
        ),
    ),
    "warnings of slow regions": (
        "changing regions",
        Patch("plan.plan_warnings._MISSED", 0.01, "", BACKBONES["latent groups of four"]),
    ),
    "shares of the steps without a warning": (
        "noise levels",
        Patch(
            "plan.compile.early_end",
            lambda original, *given: iter(()),
            "",
            BACKBONES["a video transformer"],
        ),
    ),
    "modulation of no step without a warning": (
        "noise levels",
        Patch(
            "plan.compile.no_step",
            lambda original, *given: iter(()),
            "until_timestep 900000",
            BACKBONES["a video transformer"],
        ),
    ),
    "noise levels of all steps": (
        "noise levels",
        Patch(
            "plan.backbone.first_steps",
            lambda original, share, steps: original(share, steps) if share != 0.33 else 0,
            "",
            BACKBONES["a video transformer"],
        ),
    ),
    "layers that are not refused": (
        "refusals",
        Patch("plan.compile.check_layers", lambda original, *given: None),
    ),
    "windows without the first latent frame": (
        "context",
        Patch("plan.windows.check_context", lambda original, *given: None),
    ),
    "windows of frames": (
        "context",
        Patch(
            "plan.windows.LatentContext.of",
            lambda original, context, per=1, first=1: original(context),
        ),
    ),
    "latent frames of another clip": (
        "windows",
        Patch(
            "testing.invariants.windows.plan_of_frames",
            lambda original, plan, frames: replace(
                original(plan, frames), frames=plan.frames[: len(frames)], _cache={}
            ),
            "",
            BACKBONES["a video transformer"],
        ),
    ),
    "noise levels that nothing shows": (
        "facts",
        Patch(
            "plan.facts.step_facts",
            lambda original, plan, times: original(replace(plan, noise="ddpm", _cache={}), times),
        ),
    ),
    "windows that are not evenly placed": (
        "context",
        Patch(
            "plan.windows.evenly",
            lambda original, count, last: [
                index * last // max(1, count - 1) for index in range(count)
            ],
        ),
    ),
    "tokens that moved unseen": (
        "differences",
        Patch("plan.diff._moved_tokens", lambda original, *plans: iter(())),
    ),
    "weights without a digest": (
        "digest",
        Patch(
            "plan.mask_plan.MaskPlan.header",
            lambda original, plan: original(replace(plan, edits=plan.edits[1:])),
        ),
    ),
    "another plan each time": (
        "determinism",
        Patch(
            "plan.compile.share_claimed",
            lambda original, *clip: original(*clip) / np.float32(next(FADING)),
        ),
    ),
    "a relation of classes to themselves": (
        "pairs",
        Patch(
            "plan.mask_plan.MaskPlan.self_relation_CC",
            property(lambda plan: np.eye(len(plan.members_CE), dtype=bool)),
        ),
    ),
    "labels of one byte": (
        "many classes",
        Patch("plan.compile.labels_dtype", lambda original, classes: np.uint8),
    ),
}


@pytest.mark.parametrize("title", PATCHES)
def test_broken_functions_are_named(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, patch = PATCHES[title]
    for module in (
        "compared",
        "derived",
        "saved",
        "shown",
        "transformed",
        "video",
        "windows",
    ):  # check all of them
        where = f"grainspec.testing.invariants.{module}"
        monkeypatch.setattr(
            f"{where}.chosen", lambda case, items, count: list(items), raising=False
        )
        monkeypatch.setattr(f"{where}.now_and_then", lambda *_: True, raising=False)
    monkeypatch.setattr("grainspec.testing.invariants.sometimes.RESULTS", {})
    original = resolve_name(f"grainspec.{patch.where}")
    fault = patch.fault
    other = (lambda *given: fault(original, *given)) if callable(fault) else fault
    with mock.patch(f"grainspec.{patch.where}", other):
        found = {broken.invariant for broken in violations(case(patch.settings, patch.backbone))}
    assert name in found


def test_every_property_has_a_fault() -> None:
    elsewhere = {"words", "prompts", "transformed"}  # in test_invariants.py, and of words
    mine = {
        name
        for name, check in INVARIANTS.items()
        if check.__module__.rpartition(".")[2] not in elsewhere and name != "parts"
    }
    assert mine == {name for name, _ in (*COMPILERS.values(), *PATCHES.values())} - {"compiling"}
