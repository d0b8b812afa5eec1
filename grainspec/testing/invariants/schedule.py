"""When, between which frames and at which levels attention is modulated."""

from __future__ import annotations

import numpy as np

from grainspec.plan.backbone import leading_timesteps
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.registry import invariant


@invariant("schedule")
def schedule(case: Case) -> None:
    """Modulation decreases from step to step, and ends for good after its share of the steps."""
    plan = case.plan
    times = np.linspace(0, plan.training_steps, 33)
    shares = [plan.schedule(float(time)) for time in times]
    if shares != sorted(shares) or not 0 <= shares[0] <= shares[-1] <= 1:
        raise Broken("schedule", "the schedule does not rise with the timestep from 0 to 1")
    until, last = plan.attention.until, plan.attention.until_timestep
    for steps in (1, 7, 50):
        run = leading_timesteps(steps, plan.training_steps)
        active = [plan.is_active(step, steps, time) for step, time in enumerate(run)]
        if active != sorted(active, reverse=True):
            raise Broken("schedule", "modulation begins again after it has ended", steps=steps)
        for step, time in enumerate(run):
            if active[step] and time < last:
                message = f"step {step + 1} of {steps}, at timestep {time:g}, is modulated"
                raise Broken("schedule", message, until_timestep=last)
        in_time = sum(time >= last for time in run)
        wanted = min(until * steps, in_time)
        if abs(sum(active) - wanted) > max(0.5, until > 0) + 1e-6:
            message = f"{sum(active)} of {steps} steps are modulated"
            raise Broken("schedule", message, until=until, until_timestep=last)


@invariant("scope")
def scope(case: Case) -> None:
    """Each frame attends to the frames of the scope that the spec chose."""
    count = len(case.plan.groups)
    for frame, keys in enumerate(case.plan.key_frames_FK.tolist()):
        expected = {
            "each": [frame],
            "first_last": [0, count - 1],
            "sparse_causal": [0, max(0, frame - 1)],
            "full": [*range(count)],
        }[case.spec.modulation.frames]
        if keys != expected:
            raise Broken("scope", f"the frame attends to {keys}, not {expected}", frame=frame)


@invariant("levels")
def levels(case: Case) -> None:
    """Each level has the grid of the backbone, and is modulated exactly if the spec chose it."""
    grids = case.backbone.grids(case.plan.width, case.plan.height)
    chosen = case.spec.modulation.levels
    for index, (level, grid) in enumerate(zip(case.plan.levels, grids, strict=True)):
        if level.index != index or level.labels_FHW.shape[1:] != grid:
            message = f"the grid is {level.labels_FHW.shape[1:]}, not {grid}"
            raise Broken("levels", message, level=index)
        if level.modulated != (chosen == "all" or index in chosen):
            raise Broken("levels", f"modulated is {level.modulated}", level=index)
