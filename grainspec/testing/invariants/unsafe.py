"""Files of plans whose contents do not fit together, which must not be loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from grainspec.diagnostics import GrainError
from grainspec.model.shapes import MAX_FRAME
from grainspec.model.spec import MAX_WEIGHT
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.save import load_plan, save_plan
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.by_hand import plan_by_hand
from grainspec.testing.invariants.registry import invariant
from grainspec.testing.invariants.saved import plan_file
from grainspec.testing.invariants.sometimes import once

Change = Callable[[MaskPlan], dict[str, Any]]
"""The fields of a plan that are replaced, with their values."""

_MOST_STEPS = 1_000_000
_LARGEST_CELL = 64


@invariant("loading")
def loading(case: Case) -> None:
    """A file is refused if its numbers are out of range or its arrays do not fit together.

    Extreme values that are in range are accepted.
    """
    once("loading", _all_changes)


def _all_changes() -> None:
    """Change a plan in one place at a time, save it and load it."""
    for reason, changes in _REFUSED.items():
        for name, change in changes.items():
            refusal = _refusal(change)
            if refusal is None or "G405" not in refusal or reason not in refusal:
                message = "is loaded" if refusal is None else f"is refused as: {refusal}"
                raise Broken("loading", f"a plan with {name} {message}")
    for name, change in _ACCEPTED.items():
        refusal = _refusal(change)
        if refusal is not None:
            raise Broken("loading", f"a plan with {name} is refused: {refusal}")


def _refusal(change: Change) -> str | None:
    """The error with which a changed plan is refused, if it is."""
    plan, path = plan_by_hand(), plan_file()
    save_plan(replace(plan, **change(plan), _cache={}), path)
    try:
        load_plan(path)
    except GrainError as error:
        return str(error)
    return None


def _edit(**values: Any) -> Change:
    """Fields of the last edit."""
    return lambda plan: {"edits": (*plan.edits[:-1], replace(plan.edits[-1], **values))}


def _level(**changes: Callable[[Any], Any]) -> Change:
    """Arrays of the last level, as functions of what they were."""

    def change(plan: MaskPlan) -> dict[str, Any]:
        level = plan.levels[-1]
        arrays = {name: make(getattr(level, name)) for name, make in changes.items()}
        return {"levels": (*plan.levels[:-1], replace(level, **arrays))}

    return change


def _last(value: float) -> Callable[[Any], Any]:
    """The array with another last value."""

    def change(array: Any) -> Any:
        other = array.copy()
        other.flat[-1] = value
        return other

    return change


def _filled(plan: MaskPlan) -> dict[str, Any]:
    """Members of class 0."""
    members = plan.members_CE.copy()
    members[0, -1] = True
    return {"members_CE": members}


def _other_word(plan: MaskPlan) -> dict[str, Any]:
    """Words that are not those of the edits."""
    words = plan.words_ET.copy()
    words[-1, -1] ^= True
    return {"words_ET": words}


_REFUSED: dict[str, dict[str, Change]] = {
    "frames_per_latent is not positive": {
        "no frames to a latent frame": lambda plan: {"frames_per_latent": 0},
    },
    "first_frames is not positive": {
        "no frames to the first latent frame": lambda plan: {"first_frames": 0},
    },
    "no frames, edits or levels": {
        "no frames": lambda plan: {"frames": ()},
        "no edits": lambda plan: {
            "edits": (),
            "members_CE": plan.members_CE[:, :0],
            "words_ET": plan.words_ET[:0],
        },
        "no levels": lambda plan: {"levels": ()},
    },
    "training_steps is out of range": {
        "no training steps": lambda plan: {"training_steps": 0},
        "too many training steps": lambda plan: {"training_steps": _MOST_STEPS + 1},
    },
    "not in ascending order": {
        "a frame twice": lambda plan: {"frames": (3, 3)},
        "frames backwards": lambda plan: {"frames": plan.frames[::-1]},
        "a frame before the first": lambda plan: {"frames": (-1, *plan.frames[1:])},
        "a frame after the last": lambda plan: {"frames": (*plan.frames[:-1], MAX_FRAME + 1)},
    },
    "width or height": {
        "no width": lambda plan: {"width": 0},
        "no height": lambda plan: {"height": 0},
        "too wide frames": lambda plan: {"width": plan.edited_FHW.shape[2] * _LARGEST_CELL + 1},
        "too high frames": lambda plan: {"height": plan.edited_FHW.shape[1] * _LARGEST_CELL + 1},
    },
    "members has the type uint8": {
        "members as numbers": lambda plan: {"members_CE": plan.members_CE.astype(np.uint8)},
    },
    "members has the shape": {
        "members of an edit less": lambda plan: {"members_CE": plan.members_CE[:, 1:]},
    },
    "first class is not empty": {
        "edits in class 0": _filled,
    },
    "words has the type uint8": {
        "words as numbers": lambda plan: {"words_ET": plan.words_ET.astype(np.uint8)},
    },
    "words has the shape": {
        "words of an edit less": lambda plan: {"words_ET": plan.words_ET[1:]},
        "no text tokens": lambda plan: {
            "words_ET": plan.words_ET[:, :0],
            "edits": tuple(replace(edit, tokens=()) for edit in plan.edits),
        },
    },
    "words do not match the edits": {
        "words of other edits": _other_word,
    },
    "neutral has the type uint8": {
        "padding as numbers": lambda plan: {"neutral_T": plan.neutral_T.astype(np.uint8)},
    },
    "masked has the shape": {
        "padding of a text token less": lambda plan: {"masked_T": plan.masked_T[1:]},
    },
    "a text token is of two kinds": {
        "padding that is neutral and absent": lambda plan: {"masked_T": plan.neutral_T},
        "words that are neutral": lambda plan: {"neutral_T": plan.words_ET[0]},
        "words that are absent": lambda plan: {"masked_T": plan.words_ET[-1]},
    },
    "key frames has the type int64": {
        "key frames as int64": lambda plan: {"key_frames_FK": plan.key_frames_FK.astype(np.int64)},
    },
    "key frames do not match": {
        "other key frames": lambda plan: {"key_frames_FK": plan.key_frames_FK + np.int32(1)},
    },
    "key frames has the shape": {
        "no key frames": lambda plan: {"key_frames_FK": plan.key_frames_FK[:, :0]},
    },
    "edited has the shape": {
        "pixels of another size": lambda plan: {"edited_FHW": plan.edited_FHW.repeat(2, axis=1)},
    },
    "edited has the type uint8": {
        "pixels as numbers": lambda plan: {"edited_FHW": plan.edited_FHW.astype(np.uint8)},
    },
    "weight is out of range": {
        "a weight below 0": _edit(weight=-0.5),
        "a weight above the most": _edit(weight=MAX_WEIGHT + 0.5),
        "a repulsion below 0": _edit(repel=-0.5),
        "a repulsion above the most": _edit(repel=MAX_WEIGHT + 0.5),
    },
    "labels has the type uint32": {
        "labels of four bytes": _level(labels_FHW=lambda labels: labels.astype(np.uint32)),
    },
    "labels has the shape": {
        "labels of a frame more": _level(
            labels_FHW=lambda labels: np.concatenate([labels, labels[:1]])
        ),
        "labels without a grid": _level(labels_FHW=lambda labels: labels.reshape(len(labels), -1)),
    },
    "a label has no class": {
        "a label without a class": lambda plan: _level(labels_FHW=_last(len(plan.members_CE)))(
            plan
        ),
    },
    "self_attract has the type float64": {
        "strengths of eight bytes": _level(self_attract_FC=lambda table: table.astype(np.float64)),
    },
    "self_repel has the shape": {
        "strengths of a class more": _level(self_repel_FC=lambda table: table.repeat(2, axis=1)),
    },
    "cross_repel has the shape": {
        "strengths of a frame more": _level(cross_repel_FC=lambda table: table.repeat(2, axis=0)),
    },
    "cross_attract is out of range": {
        "a negative strength": _level(cross_attract_FC=_last(-0.5)),
    },
    "cross_repel is out of range": {
        "a strength that is NaN": _level(cross_repel_FC=_last(np.nan)),
    },
    "self_attract is out of range": {
        "an infinite strength": _level(self_attract_FC=_last(np.inf)),
    },
    "self_repel is out of range": {
        "a strength above the most": _level(self_repel_FC=_last(MAX_WEIGHT + 0.5)),
    },
}
"""Changes that are refused, by words of the message."""

_ACCEPTED: dict[str, Change] = {
    "the most training steps": lambda plan: {"training_steps": _MOST_STEPS},
    "one training step": lambda plan: {"training_steps": 1},
    "the last frame": lambda plan: {"frames": (*plan.frames[:-1], MAX_FRAME)},
    "the first frame": lambda plan: {"frames": (0, *range(1, len(plan.frames)))},
    "the widest frames": lambda plan: {"width": plan.edited_FHW.shape[2] * _LARGEST_CELL},
    "the highest frames": lambda plan: {"height": plan.edited_FHW.shape[1] * _LARGEST_CELL},
    "narrow and low frames": lambda plan: {"width": 1, "height": 1},
    "the smallest weights": _edit(weight=0.0, repel=0.0),
    "the largest weights": _edit(weight=MAX_WEIGHT, repel=MAX_WEIGHT),
    "the largest strength": _level(self_repel_FC=_last(MAX_WEIGHT)),
}
