"""Compilers with a planted fault each, which the invariants must find."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from grainspec import EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.mask_plan import MaskPlan, PlanLevel, key_frames
from grainspec.plan.strengths import level_of
from grainspec.regions.layout import Layout
from grainspec.testing.case import Compiler, compiled


def on_plan(change: Callable[[MaskPlan], MaskPlan]) -> Compiler:
    return lambda spec, layout, backbone: replace(
        change(compiled(spec, layout, backbone)), _cache={}
    )


def on_levels(change: Callable[[MaskPlan, PlanLevel], PlanLevel]) -> Compiler:
    return on_plan(
        lambda plan: replace(plan, levels=tuple(change(plan, level) for level in plan.levels))
    )


def on_layout(change: Callable[[Layout], np.ndarray]) -> Compiler:
    return lambda spec, layout, backbone: compiled(
        spec, Layout(layout.names, change(layout), layout.frames), backbone
    )


def on_spec(change: Callable[[EditSpec], EditSpec]) -> Compiler:
    return lambda spec, layout, backbone: compiled(change(spec), layout, backbone)


def shifted_words(plan: MaskPlan) -> MaskPlan:
    edits = tuple(
        replace(edit, tokens=tuple(tuple(t + 1 for t in tokens) for tokens in edit.tokens))
        for edit in plan.edits
    )
    return replace(plan, edits=edits, words_ET=np.roll(plan.words_ET, 1, axis=1))


def first_occurrence_only(plan: MaskPlan) -> MaskPlan:
    words = np.zeros_like(plan.words_ET)
    edits = tuple(replace(edit, tokens=edit.tokens[:1]) for edit in plan.edits)
    for index, edit in enumerate(edits):
        for tokens in edit.tokens:
            words[index, list(tokens)] = True
    return replace(plan, words_ET=words, edits=edits)


def one_region_a_token(layout: Layout) -> np.ndarray:
    lowest = layout.bits_FHW & (~layout.bits_FHW + layout.bits_FHW.dtype.type(1))
    return np.asarray(lowest)


def swapped_levels(plan: MaskPlan) -> MaskPlan:
    one, other = plan.levels
    names = ("cross_attract_FC", "cross_repel_FC", "self_attract_FC", "self_repel_FC")
    tables = [{name: getattr(level, name) for name in names} for level in (other, one)]
    return replace(plan, levels=(replace(one, **tables[0]), replace(other, **tables[1])))


def weights_of_one(spec: EditSpec) -> EditSpec:
    edits = tuple(
        edit.model_copy(update={"weight": 1.0, "repel": None}) if hasattr(edit, "weight") else edit
        for edit in spec.edits
    )
    return spec.model_copy(update={"edits": edits})


def without_area(plan: MaskPlan, level: PlanLevel) -> PlanLevel:
    inside = plan.members_CE.any(axis=1)
    value = np.float32(plan.attention.cross)
    table = np.where(inside, value, 0) * np.ones_like(level.cross_attract_FC)
    return replace(level, cross_attract_FC=table.astype(np.float32))


def random_strengths(plan: MaskPlan, level: PlanLevel) -> PlanLevel:
    noise = np.float32(1 + 1e-3 * next(COUNTER))
    return replace(level, self_repel_FC=level.self_repel_FC * noise)


COUNTER = itertools.count(1)


def everywhere(plan: MaskPlan, level: PlanLevel) -> PlanLevel:
    table = level.cross_repel_FC.copy()
    table[:, 0] = 0.5
    return replace(level, cross_repel_FC=table)


def top_left(layout: Layout) -> np.ndarray:
    return np.roll(layout.bits_FHW, (4, 4), axis=(1, 2))


def any_frames(plan: MaskPlan) -> MaskPlan:
    return replace(plan, key_frames_FK=key_frames("full", len(plan.groups)))


def mean_over_frames(plan: MaskPlan, level: PlanLevel) -> PlanLevel:
    mean = np.broadcast_to(level.cross_attract_FC.mean(axis=0), level.cross_attract_FC.shape)
    return replace(level, cross_attract_FC=mean.copy())


def _nothing(*_: Any) -> None:
    """Do nothing: calls of a mock would take longer than those of the compiler."""


def parts_not_carved(spec: EditSpec, layout: Layout, backbone: Backbone) -> MaskPlan:
    with mock.patch("grainspec.plan.compile._carve_tokens", _nothing):
        return compiled(spec, layout, backbone)


def unbound(value: float) -> Compiler:
    return on_plan(
        lambda plan: replace(plan, attention=plan.attention.model_copy(update={"unbound": value}))
    )


def strengths_with(**settings: str) -> Compiler:
    """Compute strengths with other settings than the spec's."""

    def compiler(spec: EditSpec, layout: Layout, backbone: Backbone) -> MaskPlan:
        def other(*arguments: Any) -> PlanLevel:
            index, labels, members, edits, modulation, *rest = arguments
            chosen = modulation.model_copy(update=settings)
            return level_of(index, labels, members, edits, chosen, *rest)

        with mock.patch("grainspec.plan.compile.level_of", other):
            return compiled(spec, layout, backbone)

    return compiler


MUTANTS: dict[str, Compiler] = {
    "words of no edit pushed away": unbound(1.0),
    "words of no edit left alone": unbound(0.0),
    "tokens that are a part's and its owner's": parts_not_carved,
    "attraction and repulsion swapped": on_levels(
        lambda plan, level: replace(
            level,
            cross_attract_FC=level.cross_repel_FC,
            cross_repel_FC=level.cross_attract_FC,
        )
    ),
    "masks of the frame before": on_layout(lambda layout: np.roll(layout.bits_FHW, 1, axis=0)),
    "strengths of another level": on_plan(swapped_levels),
    "area over all frames": on_levels(mean_over_frames),
    "phrase shifted by a token": on_plan(shifted_words),
    "only a phrase's first occurrence": on_plan(first_occurrence_only),
    "masks mirrored": on_layout(lambda layout: layout.bits_FHW[:, :, ::-1]),
    "rows and columns swapped": on_layout(lambda layout: layout.bits_FHW.swapaxes(1, 2)),
    "black and white swapped": on_layout(
        lambda layout: layout.bits_FHW ^ layout.bits_FHW.dtype.type((1 << len(layout.names)) - 1)
    ),
    "one region a token": on_layout(one_region_a_token),
    "half a token off": on_layout(top_left),
    "weights ignored": on_spec(weights_of_one),
    "area ignored": on_levels(without_area),
    "strength outside all regions": on_levels(everywhere),
    "self-attention's strengths for cross-attention's": on_levels(
        lambda plan, level: replace(level, cross_attract_FC=level.self_attract_FC)
    ),
    "every scope full": on_plan(any_frames),
    "every level modulated": on_levels(lambda plan, level: replace(level, modulated=True)),
    "another plan each time": on_levels(random_strengths),
    "the later edit's words first": on_plan(
        lambda plan: replace(plan, words_ET=plan.words_ET[::-1].copy())
    ),
    "areas always squared": strengths_with(self_area="squared"),
    "areas never squared": strengths_with(self_area="share"),
    "overlaps always added": strengths_with(overlap="sum"),
    "overlaps never added": strengths_with(overlap="union"),
    "no region always repelled": strengths_with(outside="repelled"),
    "no region never repelled": strengths_with(outside="unmodulated"),
    "resize rule ignored": on_spec(
        lambda spec: spec.model_copy(
            update={"attention": spec.attention.model_copy(update={"resize": "nearest"})}
        )
    ),
}


class CountedCompiler:
    """A compiler that counts how often it is called, which is what shrinking costs."""

    def __init__(self, compiler: Compiler) -> None:
        self.compiler, self.calls = compiler, 0

    def __call__(self, spec: EditSpec, layout: Layout, backbone: Backbone) -> MaskPlan:
        self.calls += 1
        return self.compiler(spec, layout, backbone)
