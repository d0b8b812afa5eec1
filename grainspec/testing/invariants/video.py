"""What is particular to video models: padding, noise levels, latent frames of several frames."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from grainspec.diagnostics import Diagnostic
from grainspec.plan.compile import compile_plan
from grainspec.regions.layout import Mask
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case, compiled
from grainspec.testing.invariants.expected import centres, corners, groups_of, level_grids
from grainspec.testing.invariants.registry import invariant
from grainspec.testing.invariants.sometimes import now_and_then

_LEFT_OUT = 0.25
_FAR = 0.1
"""From which share of a region's tokens, and which difference in σ, a warning is expected."""


@invariant("padding")
def padding(case: Case) -> None:
    """Padding is what the backbone says: modulated, attended without modulation, or not attended.

    No word of an edit is padding, and padding that is not modulated repels nothing.
    """
    backbone, plan = case.backbone, case.plan
    places = set(backbone.padding(case.spec.target)) if backbone.padding else set()
    for kind in ("neutral", "masked"):
        actual = set(np.flatnonzero(getattr(plan, f"{kind}_T")).tolist())
        expected = places if backbone.padding_keys == kind else set()
        if actual != expected:
            message = f"the {kind} text tokens are {sorted(actual)}, not {sorted(expected)}"
            raise Broken("padding", message)
    idle = plan.neutral_T | plan.masked_T
    both = np.flatnonzero(plan.words_ET.any(axis=0) & idle)
    if len(both):
        raise Broken("padding", "the text token is both padding and a word", token=int(both[0]))
    if plan.repel_shares_T[idle].any():
        raise Broken("padding", "padding that is not modulated repels")


@invariant("changing regions")
def changing_regions(case: Case) -> None:
    """Regions that change within latent frames are warned about (G418), and no others.

    By `nearest` and `corner`, one frame of a latent frame counts. A region is warned about if more
    than a quarter of the tokens that it has on some of the frames, at the finest modulated level,
    are not among those of that frame. With the demo's video model only if `resize` or a profile is
    given. This is a property of grainspec's compiler; others return no warnings.
    """
    if case.compiler is not compiled or not now_and_then(case, 2):
        return
    found = [one for one in _warnings(case) if one.code == "G418"]
    actual = {_first_word(finding): finding for finding in found}
    expected = dict(_changing(case))
    if actual.keys() != expected.keys():
        message = f"the regions {sorted(actual)} are warned about, not {sorted(expected)}"
        raise Broken("changing regions", message)
    for region, numbers in expected.items():
        named = [int(number) for number in re.findall(r"\b\d+\b", actual[region].message)]
        if named[-len(numbers) :] != numbers:
            message = f"the warning names {named}, not {numbers}: {actual[region]}"
            raise Broken("changing regions", message, region=region)


def _warnings(case: Case) -> tuple[Diagnostic, ...]:
    return compile_plan(case.spec, case.layout, case.backbone).warnings


def _first_word(finding: Diagnostic) -> str:
    return finding.message.split("`")[1]


def _changing(case: Case) -> Iterator[tuple[str, list[int]]]:
    """The regions, and the tokens, the first and last frame and the lost tokens of the worst."""
    modulated = [level.index for level in case.plan.levels if level.modulated]
    rule = case.spec.modulation.resize
    if rule not in {"nearest", "corner"} or not modulated:
        return
    attention = case.spec.attention
    if case.spec.model == "demo-video" and attention.resize is None and attention.profile is None:
        return
    grids, frames = level_grids(case), case.layout.frames
    grid = grids[modulated[0]]
    for claim in case.spec.claims:
        mask, worst, numbers = case.layout.mask(claim.region), _LEFT_OUT, []
        for group in groups_of(case):
            alone = [[frame] for frame in group]
            each: Mask = centres(mask, alone, grid)
            if rule == "corner":
                each = corners(mask, alone, grid, grids[0])
            has = each.any(axis=0)
            lost = has & ~each[len(group) // 2]
            if has.any() and lost.sum() / has.sum() > worst:
                worst = lost.sum() / has.sum()
                ends = frames[group[0]], frames[group[-1]]
                numbers = [int(has.sum()), *ends, int(lost.sum())]
        if numbers:
            yield claim.region, numbers


@invariant("noise levels")
def noise_levels(case: Case) -> None:
    """Of flow-matching models, a share `until` that ends far from its own σ is warned about (G417).

    That is further than 0.1 from the σ at which it would end if the steps were evenly spaced in σ.
    Settings of a profile are not warned about, nor a share beside `until_timestep`, nor one which
    does not end modulation, nor other models. If no step is modulated although neither `until` nor
    all strengths are 0, that is warned about (G421), of all models. This is a property of
    grainspec's compiler.
    """
    if case.compiler is not compiled or not now_and_then(case, 2):
        return
    warnings = _warnings(case)
    idle, is_idle = [one for one in warnings if one.code == "G421"], _is_idle(case)
    if bool(idle) != is_idle:
        said = f"is warned about: {idle[0]}" if idle else "of no step is not warned about"
        raise Broken("noise levels", f"modulation {said}")
    found = [one for one in warnings if one.code == "G417"]
    expected = _end_of_until(case)
    if bool(found) != (expected is not None):
        said = f"is warned about: {found[0]}" if found else "is not warned about"
        raise Broken("noise levels", f"`until` {case.spec.attention.until} {said}")
    if expected is not None:
        named = [
            float(number)
            for number in re.findall(r"σ (\d\.\d\d) to (\d\.\d\d)", found[0].message)[0]
        ]
        if any(abs(one - other) > 0.0051 for one, other in zip(named, expected, strict=True)):
            message = f"the warning names σ {named}, not {expected}"
            raise Broken("noise levels", message)


def _end_of_until(case: Case) -> tuple[float, float] | None:
    """The first and the last modulated noise level, if the last is far from what is expected."""
    backbone, attention = case.backbone, case.spec.attention
    until, given = attention.until, attention.until_timestep
    if backbone.noise != "flow" or until in (None, 0, 1) or given is not None or _is_unused(case):
        return None
    times = _run(case)
    share = float(until or 0)
    count = max(1, int(share * len(times) + 0.5 + 1e-9))
    if count >= len(times) or times[count] < case.spec.modulation.until_timestep:
        return None
    sigmas = [time / backbone.training_steps for time in times]
    even = sigmas[0] - sigmas[0] * count / len(times)
    return (sigmas[0], sigmas[count - 1]) if abs(sigmas[count] - even) > _FAR else None


def _is_idle(case: Case) -> bool:
    """Whether modulation is on, and no step of a run is modulated."""
    chosen = case.spec.for_profile(case.backbone.profile).modulation
    on = (
        not _is_unused(case)
        and chosen.until > 0
        and max(chosen.cross, chosen.self_, chosen.columns) > 0
    )
    times = _run(case)
    return on and bool(times) and all(time < chosen.until_timestep for time in times)


def _is_unused(case: Case) -> bool:
    """Whether a method makes the edit without modulated attention."""
    method = case.spec.method
    return method is not None and method.regions in ("off", "blend")


def _run(case: Case) -> list[float]:
    """The timesteps of a run, without those that FlowEdit or DFVEdit skips."""
    backbone, sampler = case.backbone, case.spec.sampler
    times = [*backbone.timesteps(sampler.steps, sampler.method)]
    if case.spec.method is not None:
        return times[1:] or times if case.spec.method.name == "dfvedit" else times
    if backbone.noise == "flow" and sampler.process in (None, "flow_edit"):
        skipped = int(sampler.skip * len(times) + 0.5 + 1e-9)
        times = times[max(skipped, 1 if sampler.skip else 0) :]
    return times
