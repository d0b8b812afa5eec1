"""When, between which frames and at which levels attention is modulated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, product
from typing import get_args

import numpy as np

from grainspec.model.spec import SamplerMethod
from grainspec.plan.mask_plan import MaskPlan
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.expected import frames_in_scope, groups_of, level_grids
from grainspec.testing.invariants.registry import invariant

_STEPS = (1, 2, 7, 30, 50)
_SHARES = (0.0, 0.01, 0.25, 0.29, 0.5, 1.0)
"""The share 0.29 of 50 steps is 14.5 exactly, and a little less as a product of floats."""
_DECAYS = (0.0, 0.5, 1.0, 5.0)


@invariant("schedule")
def schedule(case: Case) -> None:
    """Modulation falls as ((t − `timestep_offset`) / T)^decay, and ends after its share of steps.

    The number of modulated steps is `until` times all steps, halves rounded up, and at least one
    unless `until` is 0. Steps below `until_timestep` are not modulated. Strengths are scaled and
    then clamped to 1.
    """
    _shape(case.plan)
    _ends(case.plan, _near_share(case.plan))
    for share in _SHARES:
        attention = case.plan.attention.model_copy(update={"until": share, "until_timestep": 400})
        _ends(replace(case.plan, attention=attention, _cache={}), {share})
    for decay, offset in product(_DECAYS, {0, 1, case.plan.attention.timestep_offset}):
        update = {"decay": decay, "timestep_offset": offset}
        attention = case.plan.attention.model_copy(update=update)
        _shape(replace(case.plan, attention=attention, _cache={}))


def _near_share(plan: MaskPlan) -> set[float]:
    """The share itself, and those that differ by less than is seen in nine decimals."""
    return {plan.attention.until, plan.attention.until + 1e-10, plan.attention.until - 1e-10}


def _ends(plan: MaskPlan, shares: set[float]) -> None:
    """Exactly the first steps are modulated, as long as they are not below `until_timestep`."""
    until, last = plan.attention.until, float(plan.attention.until_timestep)
    for steps in _STEPS:
        counts = {_share_of(share, steps) for share in shares} if until else {0}
        looked_at = sorted({0, steps - 1, *(max(0, count - 1) for count in counts), *counts})
        active = [step for step in looked_at if plan.is_active(step, steps, last)]
        if active not in [[step for step in looked_at if step < count] for count in counts]:
            shown = ", ".join(str(step + 1) for step in active) or "none"
            message = f"of the steps {', '.join(str(step + 1) for step in looked_at)} of {steps}, "
            message += f"{shown} are modulated, not the first {max(counts)}"
            raise Broken("schedule", message, until=until)
    times = (math.nextafter(last, -1), -1.0) if last else (-1.0,)
    for time in times:
        if plan.is_active(0, 1, time):
            message = f"a step at timestep {time:g} is modulated"
            raise Broken("schedule", message, until_timestep=last)
    for time in (last, max(last, float(plan.training_steps))):
        if until and not plan.is_active(0, 1, time):
            message = f"the first step, at timestep {time:g}, is not modulated"
            raise Broken("schedule", message, until_timestep=last)


def _share_of(share: float, steps: int) -> int:
    """A share of the steps: halves up, and at least one."""
    return max(1, math.floor(Fraction(repr(share)) * steps + Fraction(1, 2)))


def _shape(plan: MaskPlan) -> None:
    """The schedule is that power of the timestep, and scales strengths, which are then clamped.

    Below the offset it is that of timestep 0.
    """
    decay, training = plan.attention.decay, plan.training_steps
    offset = plan.attention.timestep_offset
    values = [0, 0.25, 1, 2.5]
    table = np.array(values, np.float32)
    for time in (0.0, 1.0, training / 4, training / 2, training - 1.0, float(training)):
        left = time - offset
        share = math.exp(decay * math.log(left / training)) if left > 0 else float(decay == 0)
        if not math.isclose(plan.schedule(time), share, rel_tol=1e-6, abs_tol=1e-9):
            message = f"at timestep {time:g} it is {plan.schedule(time):.6g}, not {share:.6g}"
            raise Broken("schedule", message, decay=decay, timestep_offset=offset)
        scaled = plan.at(time, table)
        expected = [min(1.0, value * share) for value in values]
        if scaled.dtype != np.float32 or not (abs(scaled - expected) < 1e-6).all():
            message = f"at timestep {time:g}, strengths of {values} are "
            message += (
                f"{np.round(scaled, 4).ravel().tolist()}, not {np.round(expected, 4).tolist()}"
            )
            raise Broken("schedule", message, decay=decay)


@invariant("timesteps")
def timesteps(case: Case) -> None:
    """The timesteps of a run fall from step to step, within those that the model was trained with.

    Without a schedule of its own, a backbone has evenly spaced ones: DDIM ends at `steps_offset`,
    other samplers one step before it.
    """
    backbone = case.backbone
    training, offset = backbone.training_steps, backbone.steps_offset
    for steps in sorted({*_STEPS, case.spec.sampler.steps}):
        if steps >= training:
            continue
        for method in get_args(SamplerMethod):
            times = backbone.timesteps(steps, method)
            where = {"steps": steps, "method": method}
            if len(times) != steps:
                raise Broken("timesteps", f"there are {len(times)} timesteps", **where)
            falling = all(one > other for one, other in pairwise(times))
            if not falling or times[-1] < 0 or times[0] > training:
                message = f"they do not fall from at most {training} to at least 0: {times}"
                raise Broken("timesteps", message, **where)
            if backbone.schedule is None:
                unused = 0 if method == "ddim" else 1
                gap = training // (steps + unused)
                expected = [gap * (unused + left) + offset for left in range(steps)][::-1]
                if times != expected:
                    message = f"they are {_ends_of(times)}, not {_ends_of(expected)}"
                    raise Broken("timesteps", message, **where)
    own = replace(backbone, schedule=lambda steps, method: [float(steps), 0.5])
    if own.timesteps(7, "ddim") != [7.0, 0.5]:
        raise Broken("timesteps", f"a schedule of its own is not used: {own.timesteps(7)}")
    if backbone.schedule is None and backbone.timesteps(7) != backbone.timesteps(7, "ddim"):
        raise Broken("timesteps", "without a sampler they are not those of DDIM")


def _ends_of(times: Sequence[float]) -> str:
    return " … ".join(f"{time:g}" for time in (*times[:3], *times[-1:]))


@invariant("scope")
def scope(case: Case) -> None:
    """Each frame attends to the frames of the scope that the spec chose."""
    count, chosen = len(groups_of(case)), case.spec.modulation.frames
    for frame, keys in enumerate(case.plan.key_frames_FK.tolist()):
        expected = frames_in_scope(chosen, frame, count)
        if keys != expected:
            message = f"the frame attends to {keys}, not {expected}"
            raise Broken("scope", message, frames=chosen, frame=frame)


@invariant("levels")
def levels(case: Case) -> None:
    """Each level has the grid of the backbone, and is modulated exactly if the spec chose it.

    `levels all` are those at which the backbone has attention. Of levels that only the profile
    names, those are modulated at which the backbone has attention, or all such if there are none.
    """
    backbone, plan = case.backbone, case.plan
    grids = level_grids(case)
    if list(backbone.grids(plan.width, plan.height)) != grids:
        named = backbone.grids(plan.width, plan.height)
        raise Broken("levels", f"the backbone's grids are {named}, not {grids}")
    modulated = set(_chosen(case))
    for level, grid in zip(plan.levels, grids, strict=True):
        if level.labels_FHW.shape[1:] != grid:
            message = f"the grid is {level.labels_FHW.shape[1:]}, not {grid}"
            raise Broken("levels", message, level=level.index)
        if level.modulated != (level.index in modulated):
            message = f"the level is {'' if level.modulated else 'not '}modulated; "
            message += f"`levels` are {_shown(case.spec.modulation.levels)}"
            raise Broken("levels", message, level=level.index)


def _chosen(case: Case) -> Iterator[int]:
    """The levels that are modulated: those that the spec names, or all that have attention."""
    named, attended = case.spec.modulation.levels, case.backbone.attended
    able = [
        level for level in range(case.backbone.level_count) if attended is None or level in attended
    ]
    some = [level for level in able if named != "all" and level in named]
    if case.spec.attention.levels is None:
        some = some or able
    return iter(some if named != "all" else able)


def _shown(levels: Sequence[int] | str) -> str:
    return levels if isinstance(levels, str) else " ".join(map(str, levels))
