"""Smoothing the clip in two steps, by `smooth_from` of the sampler or of a method: its checks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from grainspec.diagnostics import Diagnostic
from grainspec.model.numbers import first_steps, percent_text
from grainspec.model.settings.method import EditingName, Method
from grainspec.model.settings.sampler import Sampler
from grainspec.model.spec import EditSpec

_STEPS = 2
"""How many steps smooth the clip: the first one its odd frames, the second one the even ones."""


def smoothing_of(spec: EditSpec, process: EditingName) -> Sampler | Method | None:
    """What smooths the clip: the sampler of ``process``, or a method; None if nothing does."""
    name = spec.method.name if spec.method else process
    owner = {"controlvideo": spec.method, "invert_and_sample": spec.sampler}.get(name)
    return owner if owner is not None and owner.smooth_from < 1 else None


def steps_left(share: float, steps: int) -> int:
    """How many steps there are after the share of the steps that are not smoothed."""
    return steps - first_steps(share, steps)


def is_default(owner: Sampler | Method) -> bool:
    """Whether the setting has its default."""
    return bool(owner.smooth_from == type(owner).model_fields["smooth_from"].default)


def is_smoothed(owner: Sampler | Method, steps: int) -> bool:
    """Whether all frames that have two neighbours are smoothed; ``owner`` has the setting."""
    return steps_left(owner.smooth_from, steps) >= _STEPS


def check_smoothing(spec: EditSpec, process: EditingName) -> Iterator[Diagnostic]:
    """Check that two steps are smoothed, and stay so (G111), if the clip is."""
    owner, sampler = smoothing_of(spec, process), spec.sampler
    if owner is None:
        return
    share, steps, span = owner.smooth_from, sampler.steps, owner.span_of("smooth_from")
    if sampler.method == "unipc":
        message = "`unipc` undoes most of `smooth_from`: it corrects a step by those before it, "
        message += "which were not smoothed"
        cure = f"Write `ddim`, or {_written(owner, 1)}."
        yield Diagnostic("G111", message, cure, sampler.span_of("method"))
        return
    if is_smoothed(owner, steps):
        return
    what = f"`smooth_from {percent_text(share)}`"
    if is_default(owner):
        what = f"the default {what}"
    message = f"{what} has no effect: it leaves no step of {steps}"
    if steps_left(share, steps):
        message = f"{what} smooths every second frame only: it leaves one step of {steps}"
    lower = next((it for it in (0.8, 0.5, 0.0) if steps_left(it, steps) >= _STEPS), None)
    if lower is None:
        enough = next(it for it in count(steps) if is_smoothed(owner, it))
        cure = f"Write `steps {enough}`."
    else:
        cure = f"Write a lower percentage, such as {_written(owner, lower)}."
    yield Diagnostic("G111", message, cure, span)


def _written(owner: Sampler | Method, share: float) -> str:
    """Return the setting as it is to be written."""
    setting = f"smooth_from {percent_text(share)}"
    return f"`method {owner.name} {{ {setting} }}`" if isinstance(owner, Method) else f"`{setting}`"
