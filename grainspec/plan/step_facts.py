"""The steps of a run: their timesteps, their noise levels, and which are modulated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grainspec.plan.mask_plan import MaskPlan

_COLUMNS = 5


def plan_sigmas(plan: MaskPlan, timesteps: Sequence[float]) -> list[float]:
    """The noise levels σ = t / T of timesteps, for flow-matching models; none for others."""
    if plan.noise != "flow":
        return []
    return [round(time / plan.training_steps, 4) for time in timesteps]


def step_facts(plan: MaskPlan, timesteps: Sequence[float]) -> list[dict[str, Any]]:
    """Every step's timestep, its noise level for flow-matching models, and if it is modulated."""
    steps = len(timesteps)
    sigmas: Sequence[float | None] = plan_sigmas(plan, timesteps) or [None] * steps
    return [
        {"timestep": time, "sigma": sigma, "modulated": plan.is_active(step, steps, time)}
        for step, (time, sigma) in enumerate(zip(timesteps, sigmas, strict=True))
    ]


def steps_text(run: Sequence[dict[str, Any]], *, modulates: bool = True) -> list[str]:
    """The noise levels and timesteps of the steps, in lines; none for other models.

    ``modulates`` is that of :func:`.facts.facts`.

    >>> run = [
    ...     {"timestep": 1000.0, "sigma": 1.0, "modulated": True},
    ...     {"timestep": 833.0, "sigma": 0.833, "modulated": False},
    ... ]
    >>> print("\\n".join(steps_text(run)))
    steps by noise level σ and timestep t (* modulated; `until_timestep` ends modulation at a t):
        1  σ 1.000  t 1000*      2  σ 0.833  t 833
    """
    if not run or run[0]["sigma"] is None:
        return []
    cells = [
        f"{number:>5}  σ {step['sigma']:.3f}  t {step['timestep']:.4g}{'*' * step['modulated']}"
        for number, step in enumerate(run, 1)
    ]
    rows = [cells[first : first + _COLUMNS] for first in range(0, len(cells), _COLUMNS)]
    title = "steps by noise level σ and timestep t"
    if modulates:
        title += " (* modulated; `until_timestep` ends modulation at a t)"
    return [f"{title}:", *("  ".join(f"{cell:<22}" for cell in row).rstrip() for row in rows)]
