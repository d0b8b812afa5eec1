"""The facts of a plan: what is modulated, where and how strongly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from grainspec.model.layer_numbers import ranges_text
from grainspec.model.settings.method import OwnScope
from grainspec.model.spec import Modulation
from grainspec.plan.mask_plan import Floats, MaskPlan, PlanLevel, class_counts
from grainspec.plan.step_facts import plan_sigmas, step_facts, steps_text

VARIANTS = ("timestep_offset", "unconditional", "outside", "self_area", "overlap", "resize")
"""The settings in which VideoGrain's code departs from the equations of its paper."""

_DEFAULTS = {name: Modulation.model_fields[name].default for name in VARIANTS}


def facts(
    plan: MaskPlan,
    *,
    timesteps: Sequence[float],
    modulates: bool = True,
    scope: OwnScope | None = None,
) -> dict[str, Any]:
    """The facts of a plan as JSON values, for a sampling run at these diffusion timesteps.

    ``timesteps`` are the sampler's, the noisiest first (:meth:`Backbone.timesteps`). Strengths are
    means over the latent tokens of an edit: at ``full`` schedule (ξ = 1), and at the ``first`` and
    the ``last`` modulated step. ``tokens`` of an edit are positions of text tokens; ``tokens`` of a
    level is a number of latent tokens. ``padding`` counts the text tokens that are not modulated.
    ``sigma`` of a step, and ``modulated_sigmas``, are noise levels of flow matching, None and none
    for other models. Where a method leaves attention as it is, ``modulates`` is False: no step is
    modulated then, and there are no strengths. ``scope`` is that of a method that chooses
    the frames of self-attention itself (:func:`.method.own_scope`): ``self_attention`` says which,
    and there are no strengths of self-attention, since they follow from the frames of each pass.
    """
    run = step_facts(plan, timesteps)
    if not modulates:
        run = [{**step, "modulated": False} for step in run]
    active = [step["timestep"] for step in run if step["modulated"]]
    ends = {"first": active[0], "last": active[-1]} if active else {}
    times = {"full": _full(plan), **ends} if modulates else {}
    layers = plan.attention.layers
    return {
        "digest": plan.digest,
        "target": plan.target,
        "backbone": plan.backbone,
        "frames": list(plan.frames),
        "size": [plan.width, plan.height],
        "classes": len(plan.members_CE),
        "bytes": plan.nbytes(),
        "modulates": modulates,
        "self_attention": scope.frames if scope else None,
        "schedule": {
            "steps": len(run),
            "modulated_steps": len(active),
            "modulated_timesteps": list(ends.values()),
            "modulated_sigmas": plan_sigmas(plan, list(ends.values())),
            "share": [round(plan.schedule(time), 4) for time in ends.values()],
            "decay": plan.attention.decay,
            **{name: getattr(plan.attention, name) for name in VARIANTS},
            "frames": None if scope else plan.attention.frames,
            "norm": _norm(plan, scope),
            "phrases": plan.attention.phrases,
            "unbound": plan.attention.unbound,
            "layers": layers if isinstance(layers, str) else list(layers),
            "columns": plan.attention.columns,
        },
        "run": run,
        "padding": {
            "neutral": int(plan.neutral_T.sum()),
            "masked": int(plan.masked_T.sum()),
        },
        "edits": [
            {
                "region": edit.region,
                "verb": edit.verb,
                "grain": edit.grain,
                "owner": edit.owner,
                "phrase": edit.phrase,
                "tokens": [list(tokens) for tokens in edit.tokens],
                "levels": [
                    _level_facts(plan, level, index, times, own_scope=scope is not None)
                    for level in plan.levels
                ],
            }
            for index, edit in enumerate(plan.edits)
        ],
    }


def _norm(plan: MaskPlan, scope: OwnScope | None) -> str | None:
    """The frames of group norms; None for transformers, which have none."""
    if plan.noise != "ddpm":
        return None
    return scope.norm if scope and scope.norm else plan.attention.norm


def _full(plan: MaskPlan) -> float:
    """The timestep of a full schedule, ξ = 1."""
    return float(plan.training_steps + plan.attention.timestep_offset)


def _level_facts(
    plan: MaskPlan, level: PlanLevel, edit: int, times: dict[str, float], *, own_scope: bool
) -> dict[str, Any]:
    """One edit at one level: its latent tokens, area and mean strengths at each of the times.

    Without times, attention is not modulated. ``own_scope`` leaves out self-attention.
    """
    rows, columns = level.labels_FHW.shape[1:]
    mine = plan.members_CE[:, edit]
    counts_FC = class_counts(level.labels_FHW, len(mine))[:, mine].astype(np.float64)
    count = int(counts_FC.sum())

    def means(table_FC: Floats) -> dict[str, float]:
        strengths = {}
        for name, time in times.items():
            total = float((plan.at(time, table_FC)[:, mine] * counts_FC).sum())
            strengths[name] = round(total / count, 4) if count else 0.0
        return strengths

    return {
        "level": level.index,
        "grid": [int(columns), int(rows)],
        "modulated": level.modulated and bool(times),
        "tokens": count,
        "area": round(count / level.labels_FHW.size, 5),
        "cross_attract": means(level.cross_attract_FC),
        "cross_repel": means(level.cross_repel_FC),
        "self_attract": {} if own_scope else means(level.self_attract_FC),
        "self_repel": {} if own_scope else means(level.self_repel_FC),
    }


def facts_text(plan_facts: dict[str, Any]) -> str:
    """Format the facts of a plan as text."""
    width, height = plan_facts["size"]
    schedule, count = plan_facts["schedule"], len(plan_facts["frames"])
    modulates, covered = plan_facts["modulates"], plan_facts["self_attention"]
    lines = [
        f"plan {plan_facts['digest'][:12]} for {plan_facts['backbone']}: "
        f"{count} frame{'s' * (count != 1)} of {width}x{height}, {plan_facts['classes']} classes, "
        f"{plan_facts['bytes'] / 1000:.0f} kB",
        *_modulation(schedule, modulates),
        *_scope(covered, modulates),
        *steps_text(plan_facts["run"], modulates=modulates),
        f"target: “{plan_facts['target']}”",
    ]
    for edit in plan_facts["edits"]:
        what = " ".join(filter(None, [edit["verb"], edit["grain"], edit["region"]]))
        owner = f" of {edit['owner']}" if edit["owner"] else ""
        tokens = ", ".join("+".join(map(str, span)) for span in edit["tokens"])
        words = f" → “{edit['phrase']}” (text tokens {tokens})" if tokens else ""
        lines.append(f"\n{what}{owner}{words}")
        if modulates:
            lines.append(f"  {'':33}attraction / repulsion, first step → last modulated step")
        strengths = f"   {'cross':24} {'' if covered else 'self'}".rstrip() if modulates else ""
        lines.append(f"  level   grid     patches    area{strengths}")
        for level in edit["levels"]:
            columns, rows = level["grid"]
            strengths = f"   {_level_strengths(level)}" if modulates else ""
            lines.append(
                f"  {level['level']:>5}   {f'{columns}x{rows}':<8} {level['tokens']:>7} "
                f"{level['area']:>7.1%}{strengths}"
            )
    return "\n".join(lines)


def _modulation(schedule: dict[str, Any], modulates: bool) -> list[str]:
    """Lines about the modulated steps, and the settings of modulation."""
    if not modulates:
        return [f"{schedule['steps']} steps, attention is not modulated"]
    norm = f"norm {schedule['norm']}, " if schedule["norm"] else ""
    frames = f"frames {schedule['frames']}, " if schedule["frames"] else ""
    return [
        f"modulated: {schedule['modulated_steps']} of {schedule['steps']} steps{_ends(schedule)}, "
        f"decay {schedule['decay']:g}, {frames}{norm}"
        f"phrases {schedule['phrases']}, unbound {schedule['unbound']:g}{_transformers(schedule)}",
        *_variants(schedule),
    ]


def _scope(covered: str | None, modulates: bool) -> list[str]:
    """A line of the frames that self-attention covers, if the method chooses them."""
    strengths = "; its strengths follow from the frames of each pass" * modulates
    return [f"self-attention covers {covered}{strengths}"] if covered else []


def _ends(schedule: dict[str, Any]) -> str:
    """The timesteps of the first and last modulated steps, and ξ at both."""
    if not schedule["modulated_steps"]:
        return ""
    (first, last), (full, least) = schedule["modulated_timesteps"], schedule["share"]
    noise = ""
    if schedule["modulated_sigmas"]:
        noise = ", σ {:.2f} to {:.2f}".format(*schedule["modulated_sigmas"])
    return f" (timesteps {first:g} to {last:g}{noise}, strengths x {full:.2f} to {least:.2f})"


def _variants(schedule: dict[str, Any]) -> list[str]:
    """A line of the settings of ``VARIANTS`` that are not their defaults; none if all are."""
    chosen = [f"{name} {schedule[name]}" for name in VARIANTS if schedule[name] != _DEFAULTS[name]]
    return [f"with {', '.join(chosen)}"] if chosen else []


def _transformers(schedule: dict[str, Any]) -> str:
    """The settings of transformers that are not their defaults."""
    layers, columns = schedule["layers"], schedule["columns"]
    numbers = layers if layers == "all" else ranges_text(layers)
    named = f", layers {numbers}" if layers != "all" else ""
    return named + (f", columns {columns:g}" if columns else "")


def _level_strengths(level: dict[str, Any]) -> str:
    """The strengths of an edit at one level."""
    if not level["modulated"]:
        return "not modulated"
    cross = _strengths(level["cross_attract"], level["cross_repel"])
    if level["cross_attract"] and not level["self_attract"]:
        return cross
    return f"{cross:24} {_strengths(level['self_attract'], level['self_repel'])}"


def _strengths(attract: dict[str, float], repel: dict[str, float]) -> str:
    pairs = [f"{attract[at]:.2f}/{repel[at]:.2f}" for at in ("first", "last") if at in attract]
    return " → ".join(pairs) or "none"
