"""Smoothing the clip in two steps, by `smooth_from` of the sampler or of a method: its checks."""

from __future__ import annotations

from collections.abc import Iterator

from grainspec.diagnostics import Diagnostic
from grainspec.model.numbers import first_steps, percent_text
from grainspec.model.settings.method import EditingName, Method
from grainspec.model.settings.sampler import Sampler
from grainspec.model.spec import EditSpec

_STEPS = 2
"""How many steps smooth the clip: the first one its odd frames, the second one the even ones."""


def smoothing_of(spec: EditSpec, process: EditingName) -> Sampler | Method | None:
    """What smooths the clip: the sampler of ``process``, or a method; None if nothing does."""
    owner: Sampler | Method = spec.sampler
    if spec.method:
        if spec.method.name != "controlvideo":
            return None
        owner = spec.method
    elif process != "invert_and_sample":
        return None
    return owner if owner.smooth_from < 1 else None


def check_smoothing(owner: Sampler | Method, sampler: Sampler) -> Iterator[Diagnostic]:
    """Check that two steps are smoothed, and stay so (G111); ``owner`` has the setting."""
    share, steps, span = owner.smooth_from, sampler.steps, owner.span_of("smooth_from")
    if share == 1:
        return
    if sampler.method == "unipc":
        message = "`unipc` undoes most of `smooth_from`: it corrects a step by those before it, "
        message += "which were not smoothed"
        yield Diagnostic("G111", message, "Write `ddim`.", sampler.span_of("method"))
        return
    left = steps - first_steps(share, steps)
    if left >= _STEPS:
        return
    what = f"`smooth_from {percent_text(share)}`"
    message = f"{what} smooths every second frame only: it leaves one step of {steps}"
    if not left:
        message = f"{what} has no effect: it leaves no step of {steps}"
    enough = (it for it in (0.8, 0.5, 0.0) if steps - first_steps(it, steps) >= _STEPS)
    lower = next(enough, None)
    cure = f"Write more `steps`: {_STEPS} of them smooth the clip."
    if lower is not None:
        cure = f"Write a lower percentage, such as `smooth_from {percent_text(lower)}`."
    yield Diagnostic("G111", message, cure, span)
