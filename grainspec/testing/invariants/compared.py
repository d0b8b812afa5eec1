"""What `grain plan --diff` shows of the differences between two plans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from grainspec.plan.diff import Difference, differences, differences_text
from grainspec.plan.mask_plan import MaskPlan, PlanLevel
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.by_hand import plan_by_hand
from grainspec.testing.invariants.registry import invariant
from grainspec.testing.invariants.shown import mean_strengths, timesteps_of
from grainspec.testing.invariants.sometimes import chosen, now_and_then, once
from grainspec.testing.invariants.structure import TABLES

Changed = tuple[str, MaskPlan, list[Difference]]
"""What was changed, the changed plan, and its differences."""


@invariant("differences")
def shown_differences(case: Case) -> None:
    """A plan has no difference to itself, and exactly the changed one to a changed plan.

    One change is made to every second case, and all to a plan by hand.
    """
    once("differences", _by_hand)
    if now_and_then(case, 2):
        _differences(case.plan, chosen(case, _CHANGES, 1))


def _by_hand() -> None:
    _differences(plan_by_hand(), _CHANGES)


def _differences(plan: MaskPlan, changes: Iterable[Callable[[MaskPlan], Changed]]) -> None:
    times = timesteps_of(plan)
    for change in changes:
        changed, other, expected = change(plan)
        actual = differences(plan, other, old_timesteps=times, new_timesteps=times)
        if [_values(one) for one in actual] != [_values(one) for one in expected]:
            message = f"with {changed}, they are {_listed(actual)}, not {_listed(expected)}"
            raise Broken("differences", message)
        _require_text(actual, differences_text(actual))


def _values(difference: Difference) -> tuple[object, ...]:
    return tuple(difference.as_json()[name] for name in _NAMES)


def _listed(found: Sequence[Difference]) -> str:
    return "; ".join(f"{d.region or ''} {d}".strip() for d in found) or "none"


def _require_text(differing: Sequence[Difference], text: str) -> None:
    """The text has a line for each difference, under the name of its edit; so has its JSON."""
    lines = [_line(one) for one in differing if one.region is None]
    for region in dict.fromkeys(one.region for one in differing if one.region is not None):
        lines += ["", region, *(f"  {_line(one)}" for one in differing if one.region == region)]
    expected = "\n".join(lines).strip("\n") or "no difference"
    if text != expected:
        raise Broken("differences", f"the text is {text!r}, not {expected!r}")
    for difference in differing:
        if difference.as_json() != {name: getattr(difference, name) for name in _NAMES}:
            raise Broken("differences", f"as JSON it is {difference.as_json()}")


def _line(difference: Difference) -> str:
    place = "" if difference.level is None else f"level {difference.level}: "
    before, after = (_shown(value) for value in (difference.before, difference.after))
    return f"{place}{difference.what}: {before} → {after}"


def _shown(value: object) -> str:
    """Numbers with four digits, lists by their ends, and texts in quotes."""
    match value:
        case None:
            return "none"
        case float():
            return f"{value:.4g}"
        case [float(), *_]:
            return " to ".join(f"{number:.4g}" for number in value)
        case [first, _, _, _, _, _, _, _, *_, last]:
            return f"{first} … {last} ({len(value)})"
        case str() if value[:6] in {"edit “", "free"} or value.startswith("add “"):
            return value
        case str():
            return f"“{value}”"
    return str(value)


def _nothing(plan: MaskPlan) -> Changed:
    return "nothing changed", plan, []


def _target(plan: MaskPlan) -> Changed:
    other = replace(plan, target=plan.target + ".", _cache={})
    return "another target", other, [Difference("target", plan.target, other.target)]


def _frames(plan: MaskPlan) -> Changed:
    """Other frames have other latent tokens: they are not compared."""
    frames = tuple(frame + 1 for frame in plan.frames)
    levels = tuple(
        replace(level, labels_FHW=level.labels_FHW[:, ::-1, ::-1]) for level in plan.levels
    )
    other = replace(plan, frames=frames, levels=levels, _cache={})
    return "other frames", other, [Difference("frames", [*plan.frames], [*other.frames])]


def _longer(plan: MaskPlan) -> Changed:
    """Nine frames, so that the list is shown by its ends, and no levels to compare."""
    other = replace(plan, frames=tuple(range(900, 909)), _cache={})
    return "nine frames", other, [Difference("frames", [*plan.frames], [*range(900, 909)])]


def _until(plan: MaskPlan) -> Changed:
    """Modulated at one step only, with a decay of 2.5."""
    before = plan.attention
    after = before.model_copy(update={"until": 0.01, "until_timestep": 0, "decay": 2.5})
    other = replace(plan, attention=after, _cache={})
    found = []
    for name, (old, new) in {
        "modulated steps": (_steps(plan), 1),
        "modulated timesteps": (_ends(plan), _ends(other)),
        "modulated sigmas": (_sigmas(plan), _sigmas(other)),
        "share": (_shares(plan), _shares(other)),
        "decay": (before.decay, 2.5),
    }.items():
        if old != new:
            found.append(Difference(name, old, new))
    return "another `until` and `decay`", other, found


def _steps(plan: MaskPlan) -> int:
    times = timesteps_of(plan)
    return sum(plan.is_active(step, len(times), time) for step, time in enumerate(times))


def _ends(plan: MaskPlan) -> list[float]:
    times = timesteps_of(plan)
    return [times[0], times[_steps(plan) - 1]] if _steps(plan) else []


def _sigmas(plan: MaskPlan) -> list[float]:
    flow = plan.noise == "flow"
    return [round(time / plan.training_steps, 4) for time in _ends(plan) if flow]


def _shares(plan: MaskPlan) -> list[float]:
    decay, training = plan.attention.decay, plan.training_steps
    left = [max(time - plan.attention.timestep_offset, 0) for time in _ends(plan)]
    return [round((time / training) ** decay, 4) for time in left]


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


def _of_transformers(plan: MaskPlan) -> Changed:
    """Other layers and columns, and the last text token of no word is attended unmodulated."""
    before, neutral = plan.attention, plan.neutral_T.copy()
    after = before.model_copy(update={"layers": (1, 4), "columns": before.columns / 2 + 0.3})
    for token in np.flatnonzero(~plan.words_ET.any(axis=0) & ~neutral & ~plan.masked_T)[-1:]:
        neutral[token] = True
    counts = [
        {"neutral": sum(kind.tolist()), "masked": sum(plan.masked_T.tolist())}
        for kind in (plan.neutral_T, neutral)
    ]
    old = before.layers if isinstance(before.layers, str) else [*before.layers]
    found = [
        Difference(name, one, other)
        for name, one, other in (
            ("padding", counts[0], counts[1]),
            ("layers", old, [1, 4]),
            ("columns", before.columns, after.columns),
        )
        if one != other
    ]
    other = replace(plan, attention=after, neutral_T=neutral, _cache={})
    return "other layers, columns and padding", other, found


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
            round(mean_strengths(plan, one, index, "self_repel", [])["full"], 4)
            for one in (level, other)
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
                round(mean_strengths(plan, one, index, name, [])["full"], 4)
                for one in (level, other)
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
    _longer,
    _until,
    _backbone,
    _settings,
    _of_transformers,
    _statement,
    _without_last,
    _not_modulated,
    _stronger,
    _moved,
)
_NAMES = ("what", "region", "level", "before", "after")
