"""What `grain plan` shows of a plan, and of the differences between two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from grainspec.plan.diff import Difference, differences, differences_text
from grainspec.plan.facts import facts, facts_text
from grainspec.plan.mask_plan import MaskPlan, PlanLevel
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.registry import invariant
from grainspec.testing.invariants.sometimes import chosen
from grainspec.testing.invariants.structure import TABLES


@invariant("facts")
def shown_facts(case: Case) -> None:
    """The facts that `grain plan` shows are those of the plan."""
    plan, times = case.plan, _times(case)
    shown = facts(plan, timesteps=times)
    _require(shown, _header(plan, times))
    ends = _modulated(plan, times)
    for index, (edit, planned) in enumerate(zip(shown["edits"], plan.edits, strict=True)):
        region = planned.region
        for name in ("region", "verb", "grain", "owner", "phrase"):
            _require(edit, {name: getattr(planned, name)}, region=region)
        _require(edit, {"tokens": [list(tokens) for tokens in planned.tokens]}, region=region)
        for level, of_level in zip(plan.levels, edit["levels"], strict=True):
            where = {"region": region, "level": level.index}
            _require(of_level, _of_level(plan, level, index), **where)
            for name in TABLES:
                expected = _means(plan, level, index, name, ends)
                if of_level[name].keys() != expected.keys():
                    message = f"{name} has {[*of_level[name]]}, not {[*expected]}"
                    raise Broken("facts", message, **where)
                for at, value in expected.items():
                    if abs(of_level[name][at] - value) > 6e-5:
                        message = f"{name} ({at}) is {of_level[name][at]}, not {value:.4f}"
                        raise Broken("facts", message, **where)
    _text(plan, shown)


def _times(case: Case) -> list[float]:
    """The timesteps of a short run: 20 steps, or as many as the model allows."""
    steps = max(1, min(20, case.backbone.training_steps - 1))
    return [case.backbone.training_steps * (steps - step) / steps for step in range(steps)]


def _require(shown: dict[str, Any], expected: dict[str, Any], **where: object) -> None:
    for name, value in expected.items():
        if shown[name] != value:
            raise Broken("facts", f"{name} is {shown[name]!r}, not {value!r}", **where)


def _modulated(plan: MaskPlan, times: Sequence[float]) -> list[float]:
    """The timesteps that are modulated."""
    steps = len(times)
    return [time for step, time in enumerate(times) if plan.is_active(step, steps, time)]


def _header(plan: MaskPlan, times: Sequence[float]) -> dict[str, Any]:
    active, attention = _modulated(plan, times), plan.attention
    ends = [active[0], active[-1]] if active else []
    shares = [(time / plan.training_steps) ** attention.decay for time in ends]
    return {
        "digest": plan.digest,
        "target": plan.target,
        "backbone": plan.backbone,
        "frames": [*plan.frames],
        "size": [plan.width, plan.height],
        "classes": len(plan.members_CE),
        "bytes": sum(array.nbytes for array in plan.arrays().values()),
        "schedule": {
            "steps": len(times),
            "modulated_steps": len(active),
            "modulated_timesteps": ends,
            "share": [round(share, 4) for share in shares],
            "decay": attention.decay,
            "frames": attention.frames,
            "norm": attention.norm,
            "phrases": attention.phrases,
            "unbound": attention.unbound,
        },
    }


def _of_level(plan: MaskPlan, level: PlanLevel, edit: int) -> dict[str, Any]:
    inside = plan.members_CE[level.labels_FHW, edit]
    rows, columns = inside.shape[1:]
    return {
        "level": level.index,
        "grid": [columns, rows],
        "modulated": level.modulated,
        "tokens": int(inside.sum()),
        "area": round(float(inside.mean()), 5),
    }


def _means(
    plan: MaskPlan, level: PlanLevel, edit: int, name: str, active: Sequence[float]
) -> dict[str, float]:
    """The mean strengths of an edit's latent tokens: full, and at the modulated steps' ends."""
    frames, rows, columns = np.nonzero(plan.members_CE[level.labels_FHW, edit])
    strengths = getattr(level, f"{name}_FC")[frames, level.labels_FHW[frames, rows, columns]]
    times = {"full": float(plan.training_steps)}
    times |= {"first": active[0], "last": active[-1]} if active else {}
    means = {}
    for at, time in times.items():
        share = (time / plan.training_steps) ** plan.attention.decay
        scaled = np.minimum(strengths * share, 1)
        means[at] = float(scaled.mean()) if len(scaled) else 0.0
    return means


def _text(plan: MaskPlan, shown: dict[str, Any]) -> None:
    """The text has the numbers of the facts."""
    text = facts_text(shown)
    schedule = shown["schedule"]
    wanted = [
        plan.digest[:12],
        f"{len(plan.frames)} frames of {plan.width}x{plan.height}",
        f"{len(plan.members_CE)} classes",
        f"{schedule['modulated_steps']} of {schedule['steps']} steps",
        f"“{plan.target}”",
    ]
    if schedule["modulated_steps"]:
        first, last = schedule["modulated_timesteps"]
        wanted.append(f"timesteps {first:g} to {last:g}")
    lines = text.splitlines()
    for edit in shown["edits"]:
        wanted += [f" {edit['region']}", *([f"“{edit['phrase']}”"] if edit["phrase"] else [])]
        for level in edit["levels"]:
            columns, rows = level["grid"]
            start = [str(level["level"]), f"{columns}x{rows}", str(level["tokens"])]
            start.append(f"{level['area']:.1%}")
            start += _shown_strengths(level) if level["modulated"] else ["not", "modulated"]
            if not any(line.split() == start for line in lines):
                message = f"the text has no line “{' '.join(start)}”"
                raise Broken("facts", message, region=edit["region"], level=level["level"])
    for words in wanted:
        if words not in text:
            raise Broken("facts", f"the text does not have “{words}”")


def _shown_strengths(level: dict[str, Any]) -> list[str]:
    """The words of a line that are strengths: of cross-attention, then of self-attention."""
    words: list[str] = []
    for kind in ("cross", "self"):
        attract, repel = level[f"{kind}_attract"], level[f"{kind}_repel"]
        pairs = [f"{attract[at]:.2f}/{repel[at]:.2f}" for at in ("first", "last") if at in attract]
        words += " → ".join(pairs).split() or ["none"]
    return words


@invariant("differences")
def shown_differences(case: Case) -> None:
    """A plan has no difference to itself, and exactly the changed one to a changed plan."""
    plan, times = case.plan, _times(case)
    for change in chosen(case, _CHANGES, 1):
        changed, other, expected = change(plan)
        actual = differences(plan, other, old_timesteps=times, new_timesteps=times)
        if [_values(one) for one in actual] != [_values(one) for one in expected]:
            message = f"with {changed}, they are {_listed(actual)}, not {_listed(expected)}"
            raise Broken("differences", message)
        text = differences_text(actual)
        if not actual and text != "no difference":
            raise Broken("differences", f"the text of no difference is {text!r}")
        for difference in actual:
            _named(difference, text)


def _values(difference: Difference) -> tuple[object, ...]:
    return tuple(difference.as_json()[name] for name in _NAMES)


def _listed(found: Sequence[Difference]) -> str:
    return "; ".join(f"{d.region or ''} {d}".strip() for d in found) or "none"


def _named(difference: Difference, text: str) -> None:
    """The text names a difference, and its edit; so does its JSON."""
    lines = [line.strip() for line in text.splitlines()]
    place = "" if difference.level is None else f"level {difference.level}: "
    if not any(line.startswith(f"{place}{difference.what}: ") for line in lines):
        raise Broken("differences", f"the text does not name “{difference.what}”: {text}")
    if difference.region is not None and difference.region not in lines:
        raise Broken("differences", f"the text does not name the edit: {text}")
    if difference.as_json() != {name: getattr(difference, name) for name in _NAMES}:
        raise Broken("differences", f"as JSON it is {difference.as_json()}")


Changed = tuple[str, MaskPlan, list[Difference]]
"""What was changed, the changed plan, and its differences."""


def _nothing(plan: MaskPlan) -> Changed:
    return "nothing changed", plan, []


def _target(plan: MaskPlan) -> Changed:
    other = replace(plan, target=plan.target + ".", _cache={})
    return "another target", other, [Difference("target", plan.target, other.target)]


def _frames(plan: MaskPlan) -> Changed:
    other = replace(plan, frames=tuple(frame + 1 for frame in plan.frames), _cache={})
    return "other frames", other, [Difference("frames", [*plan.frames], [*other.frames])]


def _backbone(plan: MaskPlan) -> Changed:
    other = replace(plan, backbone=plan.backbone + "x", width=2 * plan.width, _cache={})
    before, after = ([one.width, one.height] for one in (plan, other))
    found = [
        Difference("backbone", plan.backbone, other.backbone),
        Difference("size", before, after),
    ]
    return "another backbone and size", other, found


def _settings(plan: MaskPlan) -> Changed:
    before = plan.attention
    other = "each" if before.frames == "full" else "full"
    after = before.model_copy(update={"unbound": before.unbound / 2 + 0.3, "frames": other})
    found = [
        Difference(name, getattr(before, name), getattr(after, name))
        for name in ("frames", "unbound")
        if getattr(before, name) != getattr(after, name)
    ]
    return "another `unbound` and `frames`", replace(plan, attention=after, _cache={}), found


def _statement(plan: MaskPlan) -> Changed:
    edit = plan.edits[-1]
    other = replace(edit, verb="v", grain="g", owner="o", phrase="p", tokens=((0,),))
    found = [
        Difference("text tokens" if name == "tokens" else name, old, new, edit.region)
        for name in ("verb", "grain", "owner", "phrase", "tokens")
        if (old := _listed_tokens(getattr(edit, name)))
        != (new := _listed_tokens(getattr(other, name)))
    ]
    return "another statement", replace(plan, edits=(*plan.edits[:-1], other), _cache={}), found


def _listed_tokens(value: object) -> object:
    """Tuples as the lists that JSON has."""
    return [list(tokens) for tokens in value] if isinstance(value, tuple) else value


def _without_last(plan: MaskPlan) -> Changed:
    """The last edit has another region, so that one edit is gone and another is new."""
    edit = plan.edits[-1]
    other = replace(plan, edits=(*plan.edits[:-1], replace(edit, region="other")), _cache={})
    words = f"{edit.verb} “{edit.phrase}”" if edit.phrase else edit.verb
    gone = Difference("edit", words, None, edit.region)
    return "another region", other, [gone, Difference("edit", None, words, "other")]


def _not_modulated(plan: MaskPlan) -> Changed:
    """The last level is modulated if it was not."""
    level = plan.levels[-1]
    other = replace(level, modulated=not level.modulated)
    expected = [
        Difference("modulated", level.modulated, other.modulated, edit.region, level.index)
        for edit in plan.edits
    ]
    changed = replace(plan, levels=(*plan.levels[:-1], other), _cache={})
    return "another level modulated", changed, expected


def _stronger(plan: MaskPlan) -> Changed:
    """Self-repulsion of the last level is twice as strong."""
    level = plan.levels[-1]
    other = replace(level, self_repel_FC=level.self_repel_FC * np.float32(2))
    changed = replace(plan, levels=(*plan.levels[:-1], other), _cache={})
    expected = []
    for index, edit in enumerate(plan.edits):
        old, new = (
            round(_means(plan, one, index, "self_repel", [])["full"], 4) for one in (level, other)
        )
        if old != new:
            expected.append(Difference("self repel", old, new, edit.region, level.index))
    return "another strength", changed, expected


def _moved(plan: MaskPlan) -> Changed:
    """A token of the last level moves to class 0, and the strengths stay those of the classes."""
    level = plan.levels[-1]
    labels = level.labels_FHW.copy()
    place = np.unravel_index(int(np.argmax(labels != 0)), labels.shape)
    number = int(labels[place])
    labels[place] = 0
    other = replace(level, labels_FHW=labels)
    changed = replace(plan, levels=(*plan.levels[:-1], other), _cache={})
    expected = []
    for index, edit in enumerate(plan.edits):
        for name in TABLES:
            old, new = (
                round(_means(plan, one, index, name, [])["full"], 4) for one in (level, other)
            )
            if old != new:
                what = name.replace("_", " ")
                expected.append(Difference(what, old, new, edit.region, level.index))
    for edit, member in zip(plan.edits, plan.members_CE.T, strict=True):
        if member[number]:
            before = int(member[level.labels_FHW].sum())
            after = f"{before - 1} (1 left, 0 joined)"
            expected.append(Difference("latent tokens", before, after, edit.region, level.index))
    old, new = (_positive_pairs(plan, one) for one in (level, other))
    if old != new:
        expected.append(Difference("positive pairs", old, new, None, level.index))
    return "a token that leaves its regions", changed, expected


def _positive_pairs(plan: MaskPlan, level: PlanLevel) -> float:
    """The share of all pairs of latent tokens of the clip that share an edit."""
    numbers, counts = np.unique(level.labels_FHW, return_counts=True)
    members = plan.members_CE[numbers].astype(np.float64)
    positive = np.outer(counts, counts)[members @ members.T > 0].sum()
    return round(float(positive) / level.labels_FHW.size**2, 5)


_CHANGES = (
    _nothing,
    _target,
    _frames,
    _backbone,
    _settings,
    _statement,
    _without_last,
    _not_modulated,
    _stronger,
    _moved,
)
_NAMES = ("what", "region", "level", "before", "after")
