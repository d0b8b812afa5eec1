"""A layer's attention under a mask plan, by its definition, and how else it could be read.

Latent token ``row · columns + column`` of latent frame f has the class ``labels_FHW[f, row,
column]`` of the layer's level. In the conditional pass, the last one, at the steps that the plan
modulates, λ⁺ and λ⁻ are the level's strengths of the token's frame and class, times ξ(t) =
((t − timestep_offset) / T)^decay, at most 1. Keys are the latent tokens of the frames in scope, or
the text tokens. Everything else is plain attention. Computed in float64 by
:mod:`..attention.definition`.

In video transformers the frames of a pass are one sequence, of which all tokens are keys. Padding
of the text is as the plan says, and with `columns` the scores of an edit's words are pulled by the
setting times the edit's weight times ξ(t), at most 1.

Dimensions: P passes, F frames, N tokens of a frame, T text tokens, H heads, d head size, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from grainspec.model.spec import FrameScope
from grainspec.plan.mask_plan import MaskPlan, PlanLevel
from grainspec_runtime.testing.attention.definition import Bools, Floats, Numbers, attention

Kind = Literal["self", "cross"]


class Pass(NamedTuple):
    """A sampling step: its number from 0, of how many, and the diffusion timestep."""

    step: int
    steps: int
    timestep: float


def _same(labels_FHW: Any) -> Any:
    return labels_FHW


def _conditional(plan: MaskPlan, index: int, passes: int) -> bool:
    return index == passes - 1


def _factor(plan: MaskPlan, at: Pass) -> float:
    """ξ(t); 0 at a step that is not modulated."""
    settings = plan.attention
    modulated = math.floor(settings.until * at.steps + 0.5) if settings.until else 0
    if settings.until:
        modulated = max(1, modulated)
    if at.step >= modulated or at.timestep < settings.until_timestep:
        return 0.0
    return _factor_without_end(plan, at)


def _factor_without_end(plan: MaskPlan, at: Pass) -> float:
    time = max(at.timestep - plan.attention.timestep_offset, 0.0)
    return float((time / plan.training_steps) ** plan.attention.decay)


def _scope(plan: MaskPlan) -> FrameScope:
    return plan.attention.frames


def _tables(level: PlanLevel, kind: Kind) -> tuple[Floats, Floats]:
    """λ⁺ and λ⁻ by frame and class, float64 ``[F, C]``."""
    tables = {
        "self": (level.self_attract_FC, level.self_repel_FC),
        "cross": (level.cross_attract_FC, level.cross_repel_FC),
    }[kind]
    return tables[0].astype(np.float64), tables[1].astype(np.float64)


def _words(plan: MaskPlan) -> Any:
    return plan.words_ET


@dataclass(frozen=True)
class Reading:
    """The steps of the definition, each of which can be replaced by a mistaken one."""

    labels: Callable[[Any], Any] = _same
    modulates: Callable[[MaskPlan, int, int], bool] = _conditional
    factor: Callable[[MaskPlan, Pass], float] = _factor
    scope: Callable[[MaskPlan], FrameScope] = _scope
    tables: Callable[[PlanLevel, Kind], tuple[Floats, Floats]] = _tables
    words: Callable[[MaskPlan], Any] = _words
    all_levels: bool = False
    soft: bool = True
    padding: bool = True
    columns: bool = True


Arguments = tuple[MaskPlan, int, Kind, Floats, Floats, Floats, Pass]
"""Plan, level, kind, query, key, value and step, as :func:`layer_attention` takes them."""


def frames_in_scope(scope: FrameScope, frame: int, count: int) -> list[int]:
    """The frames that a frame attends to, in the order of its keys."""
    return {
        "each": [frame],
        "first_last": [0, count - 1],
        "sparse_causal": [0, max(0, frame - 1)],
        "full": list(range(count)),
    }[scope]


def layer_attention(
    plan: MaskPlan,
    level: int,
    kind: Kind,
    query: Floats,
    key: Floats,
    value: Floats,
    at: Pass,
    reading: Reading | None = None,
) -> Floats:
    """The attention of all passes, ``[P * F, H, N, d]``; text tokens in place of N for cross.

    In video transformers ``[P, H, F * N, d]``.
    """
    step = reading or Reading()
    table = next(each for each in plan.levels if each.index == level)
    frames = len(table.labels_FHW)
    labels_FN = step.labels(table.labels_FHW).reshape(frames, -1).astype(np.int64)
    one_sequence = frames > 1 and query.shape[2] == labels_FN.size
    passes = len(query) if one_sequence else len(query) // frames
    on = (table.modulated or step.all_levels) and step.factor(plan, at) > 0
    outs = []
    for index in range(passes):
        factor = step.factor(plan, at) if on and step.modulates(plan, index, passes) else 0.0
        attract, repel = (np.minimum(t * factor, 1.0) for t in step.tables(table, kind))
        if one_sequence:
            if kind == "self" and step.scope(plan) != "full":
                raise ValueError("a sequence of all frames has no other scope")
            at_pass = slice(index, index + 1)
            outs.append(
                attention(
                    Numbers(
                        query_BHNd=query[at_pass],
                        key_BHMd=key[at_pass],
                        value_BHMd=value[at_pass],
                        query_labels_BN=labels_FN.reshape(1, -1),
                        attract_BN=np.take_along_axis(attract, labels_FN, 1).reshape(1, -1),
                        repel_BN=np.take_along_axis(repel, labels_FN, 1).reshape(1, -1),
                        scale=query.shape[-1] ** -0.5,
                        **_of_keys(plan, step, kind, labels_FN, [*range(frames)], key, factor),
                    )
                )
            )
            continue
        for frame in range(frames):
            row = index * frames + frame
            keys = [row]
            if kind == "self":
                keys = [
                    index * frames + other
                    for other in frames_in_scope(step.scope(plan), frame, frames)
                ]
            outs.append(
                attention(
                    Numbers(
                        query_BHNd=query[row : row + 1],
                        key_BHMd=np.concatenate([key[k] for k in keys], 1)[None],
                        value_BHMd=np.concatenate([value[k] for k in keys], 1)[None],
                        query_labels_BN=labels_FN[frame : frame + 1],
                        attract_BN=attract[frame][labels_FN[frame]][None],
                        repel_BN=repel[frame][labels_FN[frame]][None],
                        scale=query.shape[-1] ** -0.5,
                        **_of_keys(
                            plan, step, kind, labels_FN, [k % frames for k in keys], key, factor
                        ),
                    )
                )
            )
    return np.concatenate(outs)


def _of_keys(
    plan: MaskPlan,
    step: Reading,
    kind: Kind,
    labels_FN: Any,
    frames: list[int],
    key: Floats,
    factor: float,
) -> dict[str, Any]:
    """The labels of the keys, their relation to classes, and which of them are special."""
    members_CE = plan.members_CE
    if kind == "self":
        shared: Bools = np.any(members_CE[:, None] & members_CE[None], axis=-1)
        none = np.zeros(len(shared), bool)
        return {
            "key_labels_BM": labels_FN[frames].reshape(1, -1),
            "relation_CK": shared,
            "soft_K": none,
            "soft_share": 0.0,
            "neutral_K": none,
            "masked_K": none,
            "columns_K": np.zeros(len(shared)),
        }
    words_ET = step.words(plan)
    unbound = plan.attention.unbound
    neutral_T, masked_T = (
        padding_T if step.padding else np.zeros_like(padding_T)
        for padding_T in (plan.neutral_T, plan.masked_T)
    )
    unbound_T = ~words_ET.any(0) & ~neutral_T & ~masked_T
    weights_E1 = np.array([edit.weight for edit in plan.edits])[:, None]
    pull = plan.attention.columns * factor * step.columns
    return {
        "key_labels_BM": np.arange(key.shape[2])[None],
        "relation_CK": (members_CE[:, :, None] & words_ET[None]).any(1),
        "soft_K": unbound_T & (step.soft and unbound < 1),
        "soft_share": unbound,
        "neutral_K": neutral_T,
        "masked_K": masked_T,
        "columns_K": np.minimum(pull * (words_ET * weights_E1).max(0), 1.0),
    }


# --- mistakes -------------------------------------------------------------------------------------


def _transposed(labels_FHW: Any) -> Any:
    return labels_FHW.transpose(0, 2, 1)


def _next_frame(labels_FHW: Any) -> Any:
    return np.roll(labels_FHW, -1, 0)


def _frame_before(labels_FHW: Any) -> Any:
    return np.roll(labels_FHW, 1, 0)


def _first_frame(labels_FHW: Any) -> Any:
    return np.broadcast_to(labels_FHW[:1], labels_FHW.shape)


def _other_tables(level: PlanLevel, kind: Kind) -> tuple[Floats, Floats]:
    return _tables(level, "cross" if kind == "self" else "self")


def _swapped(level: PlanLevel, kind: Kind) -> tuple[Floats, Floats]:
    attract, repel = _tables(level, kind)
    return repel, attract


def _no_repel(level: PlanLevel, kind: Kind) -> tuple[Floats, Floats]:
    attract, repel = _tables(level, kind)
    return attract, 0 * repel


def _no_attract(level: PlanLevel, kind: Kind) -> tuple[Floats, Floats]:
    attract, repel = _tables(level, kind)
    return 0 * attract, repel


def _first_frames_tables(level: PlanLevel, kind: Kind) -> tuple[Floats, Floats]:
    attract, repel = (np.broadcast_to(table[:1], table.shape) for table in _tables(level, kind))
    return attract, repel


CAUSES: dict[str, Reading] = {
    "nothing is modulated": Reading(factor=lambda plan, at: 0.0),
    "labels are transposed: columns are taken for rows": Reading(labels=_transposed),
    "labels are mirrored: left and right are swapped": Reading(labels=lambda f: f[:, :, ::-1]),
    "labels are mirrored: top and bottom are swapped": Reading(labels=lambda f: f[:, ::-1]),
    "labels are rotated by half a turn": Reading(labels=lambda f: f[:, ::-1, ::-1]),
    "labels are those of the next frame": Reading(labels=_next_frame),
    "labels are those of the frame before": Reading(labels=_frame_before),
    "labels are those of the first frame": Reading(labels=_first_frame),
    "labels are in the reverse order of frames": Reading(labels=lambda f: f[::-1]),
    "labels are off by one latent token": Reading(labels=lambda f: np.roll(f, 1, 2)),
    "the unconditional pass is modulated, too": Reading(modulates=lambda *_: True),
    "the unconditional pass is modulated, and the conditional one is not": Reading(
        modulates=lambda plan, index, passes: index == 0
    ),
    "the schedule's factor ξ is missing": Reading(factor=lambda plan, at: 1.0),
    "the schedule's factor ξ is t / T, without the decay": Reading(
        factor=lambda plan, at: at.timestep / plan.training_steps
    ),
    "the modulation does not end": Reading(factor=_factor_without_end),
    "the strengths of self- and cross-attention are swapped": Reading(tables=_other_tables),
    "attraction and repulsion are swapped": Reading(tables=_swapped),
    "repulsion is ignored": Reading(tables=_no_repel),
    "attraction is ignored": Reading(tables=_no_attract),
    "the strengths are those of the first frame": Reading(tables=_first_frames_tables),
    "words are one text token too early": Reading(words=lambda p: np.roll(p.words_ET, -1, 1)),
    "words are one text token too late": Reading(words=lambda p: np.roll(p.words_ET, 1, 1)),
    "the words of the edits are swapped": Reading(words=lambda p: p.words_ET[::-1]),
    "words of no edit repel in full": Reading(soft=False),
    "padding is modulated as words are": Reading(padding=False),
    "columns are not pulled": Reading(columns=False),
    "levels that the plan leaves alone are modulated": Reading(all_levels=True),
    "every frame attends to itself only": Reading(scope=lambda plan: "each"),
    "every frame attends to all frames": Reading(scope=lambda plan: "full"),
    "every frame attends to the first and the last": Reading(scope=lambda plan: "first_last"),
    "every frame attends to the first and the one before": Reading(
        scope=lambda plan: "sparse_causal"
    ),
}
"""Mistakes by the words that describe them."""


def cause_of(out: Floats, tolerance: float, arguments: Arguments) -> str:
    """The mistake that explains a result of :func:`layer_attention`; empty if none does.

    ``arguments`` are those of :func:`layer_attention`, without a reading.
    """
    for words, reading in CAUSES.items():
        try:
            expected = layer_attention(*arguments, reading)
        except (IndexError, ValueError):  # of another shape
            continue
        if expected.shape == out.shape and np.abs(expected - out).max() <= tolerance:
            return words
    return ""
