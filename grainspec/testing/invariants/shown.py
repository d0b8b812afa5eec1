"""What `grain plan` shows of a plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import numpy as np

from grainspec.plan.facts import facts, facts_text
from grainspec.plan.mask_plan import MaskPlan, PlanLevel
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.by_hand import plan_by_hand
from grainspec.testing.invariants.registry import invariant
from grainspec.testing.invariants.sometimes import now_and_then, once
from grainspec.testing.invariants.structure import TABLES

CHOICES = {
    "timestep_offset": 0,
    "unconditional": "negative_prompt",
    "outside": "unmodulated",
    "self_area": "share",
    "overlap": "union",
    "resize": "nearest",
}
"""Settings that are shown if they are not these."""


@invariant("facts")
def shown_facts(case: Case) -> None:
    """The facts that `grain plan` shows are those of the plan.

    They are checked of every second case, and of three plans by hand.
    """
    once("facts", _by_hand)
    if now_and_then(case, 2):
        _facts(case.plan)


def _by_hand() -> None:
    """A plan whose first level is modulated; at one step; at none; and of flow matching."""
    plan = plan_by_hand()
    for until in (plan.attention.until, 0.01, 0.0):
        attention = plan.attention.model_copy(update={"until": until})
        _facts(replace(plan, attention=attention, _cache={}))
    update = {"layers": (0, 1, 2, 5, 7, 8), "columns": 0.5}
    attention = plan.attention.model_copy(update=update)
    _facts(replace(plan, attention=attention, noise="flow", _cache={}))


def _facts(plan: MaskPlan) -> None:
    times = timesteps_of(plan)
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
                expected = mean_strengths(plan, level, index, name, ends)
                if of_level.get(name, {}).keys() != expected.keys():
                    message = f"{name} has {[*of_level.get(name, {})]}, not {[*expected]}"
                    raise Broken("facts", message, **where)
                for at, value in expected.items():
                    if abs(of_level[name][at] - value) > 6e-5:
                        message = f"{name} ({at}) is {of_level[name][at]}, not {value:.4f}"
                        raise Broken("facts", message, **where)
    _text(plan, shown)


def timesteps_of(plan: MaskPlan) -> list[float]:
    """The timesteps of a short run: 20 steps, or as many as the model allows."""
    steps = max(1, min(20, plan.training_steps - 1))
    return [plan.training_steps * (steps - step) / steps for step in range(steps)]


def _require(shown: dict[str, Any], expected: dict[str, Any], **where: object) -> None:
    for name, value in expected.items():
        actual = shown.get(name, "missing")
        if actual != value:
            raise Broken("facts", f"{name} is {actual!r}, not {value!r}", **where)


def _modulated(plan: MaskPlan, times: Sequence[float]) -> list[float]:
    """The timesteps that are modulated."""
    steps = len(times)
    return [time for step, time in enumerate(times) if plan.is_active(step, steps, time)]


def _header(plan: MaskPlan, times: Sequence[float]) -> dict[str, Any]:
    active, attention = _modulated(plan, times), plan.attention
    ends = [active[0], active[-1]] if active else []
    shares = [_share(plan, time) for time in ends]
    flow, layers = plan.noise == "flow", attention.layers
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
            "modulated_sigmas": [_sigma(plan, time) for time in ends if flow],
            "share": [round(share, 4) for share in shares],
            "decay": attention.decay,
            **{name: getattr(attention, name) for name in CHOICES},
            "frames": attention.frames,
            "norm": attention.norm if plan.noise == "ddpm" else None,
            "phrases": attention.phrases,
            "unbound": attention.unbound,
            "layers": layers if layers == "all" else [*layers],
            "columns": attention.columns,
        },
        "run": [
            {
                "timestep": time,
                "sigma": _sigma(plan, time) if flow else None,
                "modulated": time in active,
            }
            for time in times
        ],
        "padding": {
            "neutral": sum(plan.neutral_T.tolist()),
            "masked": sum(plan.masked_T.tolist()),
        },
    }


def _share(plan: MaskPlan, time: float) -> float:
    """The factor of the schedule at a timestep."""
    left = max(time - plan.attention.timestep_offset, 0.0)
    return float((left / plan.training_steps) ** plan.attention.decay)


def _sigma(plan: MaskPlan, time: float) -> float:
    """The noise level of a timestep of flow matching."""
    return round(time / plan.training_steps, 4)


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


def mean_strengths(
    plan: MaskPlan, level: PlanLevel, edit: int, name: str, active: Sequence[float]
) -> dict[str, float]:
    """The mean strengths of an edit's latent tokens: full, and at the modulated steps' ends."""
    frames, rows, columns = np.nonzero(plan.members_CE[level.labels_FHW, edit])
    table = getattr(level, f"{name}_FC").astype(np.float64)
    strengths = table[frames, level.labels_FHW[frames, rows, columns]]
    times = {"full": float(plan.training_steps + plan.attention.timestep_offset)}
    times |= {"first": active[0], "last": active[-1]} if active else {}
    means = {}
    for at, time in times.items():
        share = _share(plan, time)
        scaled = np.minimum(strengths * share, 1)
        means[at] = float(scaled.mean()) if len(scaled) else 0.0
    return means


def _text(plan: MaskPlan, shown: dict[str, Any]) -> None:
    """The text has the numbers of the facts, in their order."""
    _require_words("facts", facts_text(shown), _lines(plan, shown))


def _require_words(name: str, text: str, lines: Iterable[str]) -> None:
    """Require a text to have the words of these lines, whatever the white space between them.

    Prompts may contain line ends themselves.
    """
    actual, expected = text.split(), " ".join(lines).split()
    for place, (word, wanted) in enumerate(zip_longest(actual, expected)):
        if word != wanted:
            around = (
                " ".join(words[max(0, place - 4) : place + 4]) for words in (actual, expected)
            )
            message = "the text says “{}”, not “{}”".format(*around)
            raise Broken(name, message)


def _lines(plan: MaskPlan, shown: dict[str, Any]) -> Iterator[str]:
    """The lines of the text, with one space between words."""
    attention, schedule = plan.attention, shown["schedule"]
    frames = "frame" if len(plan.frames) == 1 else "frames"
    norm = f"norm {attention.norm}, " if plan.noise == "ddpm" else ""
    ends = ""
    if schedule["modulated_steps"]:
        (first, last), (most, least) = schedule["modulated_timesteps"], schedule["share"]
        noise = ""
        if plan.noise == "flow":
            noise = f", σ {_sigma(plan, first):.2f} to {_sigma(plan, last):.2f}"
        ends = f" (timesteps {first:g} to {last:g}{noise}, strengths x {most:.2f} to {least:.2f})"
    layers = attention.layers
    only = "" if isinstance(layers, str) else f", layers {_layers_text(layers)}"
    only += f", columns {attention.columns:g}" if attention.columns else ""
    yield (
        f"plan {plan.digest[:12]} for {plan.backbone}: {len(plan.frames)} {frames} of "
        f"{plan.width}x{plan.height}, {len(plan.members_CE)} classes, "
        f"{shown['bytes'] / 1000:.0f} kB"
    )
    yield (
        f"modulated: {schedule['modulated_steps']} of {schedule['steps']} steps{ends}, "
        f"decay {attention.decay:g}, frames {attention.frames}, {norm}"
        f"phrases {attention.phrases}, unbound {attention.unbound:g}{only}"
    )
    chosen = {name: getattr(attention, name) for name in CHOICES}
    if chosen != CHOICES:
        unusual = [f"{name} {chosen[name]}" for name in chosen if chosen[name] != CHOICES[name]]
        yield "with " + ", ".join(unusual)
    if plan.noise == "flow":
        yield "steps by noise level σ and timestep t (* modulated; "
        yield "`until_timestep` ends modulation at a t):"
        for number, step in enumerate(shown["run"], 1):
            star = "*" if step["modulated"] else ""
            yield f"{number} σ {step['sigma']:.3f} t {step['timestep']:.4g}{star}"
    yield f"target: “{plan.target}”"
    for planned, edit in zip(plan.edits, shown["edits"], strict=True):
        title = [planned.verb, planned.grain or "", planned.region]
        title += ["of", planned.owner] if planned.owner else []
        if planned.tokens:
            positions = ["+".join(str(token) for token in tokens) for tokens in planned.tokens]
            title += ["→", f"“{planned.phrase}”", f"(text tokens {', '.join(positions)})"]
        yield " ".join(title)
        yield "attraction / repulsion, first step → last modulated step"
        yield "level grid patches area cross self"
        for level in edit["levels"]:
            columns, rows = level["grid"]
            area = f"{level['level']} {columns}x{rows} {level['tokens']} {level['area']:.1%}"
            strengths = _shown_strengths(level) if level["modulated"] else ["not modulated"]
            yield " ".join([area, *strengths])


def _layers_text(layers: Sequence[int]) -> str:
    """Numbers of layers; of three or more in a row, the first and the last."""
    words: list[str] = []
    for layer in layers:
        before, after = layer - 1 in layers, layer + 1 in layers
        inner = before and after
        first = after and not before and layer + 2 in layers
        last = before and not after and layer - 2 in layers
        if first:
            words.append(f"{layer}..")
        elif last:
            words[-1] += str(layer)
        elif not inner:
            words.append(str(layer))
    return " ".join(words)


def _shown_strengths(level: dict[str, Any]) -> list[str]:
    """The words of a line that are strengths: of cross-attention, then of self-attention."""
    words: list[str] = []
    for kind in ("cross", "self"):
        attract, repel = level[f"{kind}_attract"], level[f"{kind}_repel"]
        pairs = [f"{attract[at]:.2f}/{repel[at]:.2f}" for at in ("first", "last") if at in attract]
        words.append(" → ".join(pairs) or "none")
    return words
