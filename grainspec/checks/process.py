"""Checks of settings against the process that makes the edit: inversion and sampling, or FlowEdit.

Where a spec has no `process`, its model decides; the checks then wait until the model is known.
"""

from __future__ import annotations

from collections.abc import Iterator

from grainspec.checks.flow_differences import check_flow_prompts, check_flow_scales
from grainspec.checks.smoothing import check_smoothing
from grainspec.diagnostics import Diagnostic
from grainspec.model.demo_models import demo_model, is_demo_unet
from grainspec.model.numbers import first_steps, percent_text
from grainspec.model.settings.sampler import ProcessName, Sampler
from grainspec.model.spec import EditSpec


def stated_process(spec: EditSpec) -> ProcessName | None:
    """The process that a spec runs with, if the spec says so; None if its model decides."""
    if spec.sampler.process is None and demo_model(spec.model):
        return "invert_and_sample" if is_demo_unet(spec.model) else "flow_edit"
    return spec.sampler.process


def check_process(spec: EditSpec, process: ProcessName) -> Iterator[Diagnostic]:
    """Check settings that the process contradicts (G203) or ignores (G111), and its prompts."""
    yield from _unguided(spec, process)
    if process == "flow_edit":
        yield from _flow_edit(spec)
    else:
        yield from _invert_and_sample(spec)


_OF_FLOW_EDIT = ("skip", "source_guidance", "average", "amplify")
"""The settings of `sampler` that only `flow_edit` has."""


def _invert_and_sample(spec: EditSpec) -> Iterator[Diagnostic]:
    sampler = spec.sampler
    for setting in _OF_FLOW_EDIT:
        if getattr(sampler, setting) != Sampler.model_fields[setting].default:
            message = f"`{setting}` has no effect with `process invert_and_sample`"
            cure = f"Remove `{setting}`: it is for `process flow_edit`."
            yield Diagnostic("G111", message, cure, sampler.span_of(setting))
    yield from check_smoothing(spec, "invert_and_sample")
    if sampler.seed and not sampler.eta:
        message = f"`seed {sampler.seed}` has no effect: nothing is random with `eta 0`"
        cure = "Remove it."
        if sampler.method == "ddim":
            cure = "Remove it, or write `eta 0.2`, which draws new noise in every step."
        yield Diagnostic("G111", message, cure, sampler.span_of("seed"))


def _flow_edit(spec: EditSpec) -> Iterator[Diagnostic]:
    sampler, blend = spec.sampler, spec.blend
    if sampler.eta and sampler.method == "ddim":
        message = "`eta` has no effect with `process flow_edit`, which draws noise in every step"
        yield Diagnostic("G111", message, "Remove `eta`.", sampler.span_of("eta"))
    if sampler.smooth_from < 1:
        message = "`smooth_from` has no effect with `process flow_edit`"
        cure = "Remove it: it is for `process invert_and_sample`."
        yield Diagnostic("G111", message, cure, sampler.span_of("smooth_from"))
    if sampler.method != "ddim" and not sampler.eta:
        message = f"`{sampler.method}` has no effect with `process flow_edit` but on the rounding "
        message += "of noise levels: its steps are Euler's"
        yield Diagnostic("G111", message, "Write `ddim`.", sampler.span_of("method"))
    if blend.start and blend.space in {"latents", "both"}:
        message = "`from` has no effect with `process flow_edit`, which restores nothing in between"
        yield Diagnostic("G111", message, "Remove `from`.", blend.span_of("from") or blend.span)
    lacking = is_demo_unet(spec.model)  # it has no `flow_edit`: the fault to be named
    if spec.inject and not lacking:
        message = "`inject` needs the source's inversion, which `process flow_edit` does without"
        cure = "Remove `inject`: a larger `skip` also keeps more of the source's structure."
        yield Diagnostic("G203", message, cure, spec.inject.span)
    if spec.freeu and not lacking:
        message = "`freeu` needs a UNet, and `process flow_edit` is for transformers"
        yield Diagnostic("G203", message, "Remove `freeu`.", spec.freeu.span)
    yield from _steps(sampler)
    if demo_model(spec.model) == "demo-video":
        yield from _untuned(spec)
    if not lacking:
        yield from check_flow_prompts(spec, "FlowEdit", spec.sampler.span)
        yield from check_flow_scales(sampler, "FlowEdit")


def _steps(sampler: Sampler) -> Iterator[Diagnostic]:
    """Check that a step is left."""
    if _is_left(sampler.skip, sampler.steps):
        return
    message = f"`skip {percent_text(sampler.skip)}` leaves no step of {sampler.steps}"
    lower = next(share for share in (0.33, 0.0) if _is_left(share, sampler.steps))
    cure = f"Write a lower percentage, such as `skip {percent_text(lower)}`."
    yield Diagnostic("G203", message, cure, sampler.spans.get("skip") or sampler.span_of("steps"))


def _is_left(share: float, steps: int) -> bool:
    """Whether a share of the first steps is not all of them."""
    return first_steps(share, steps) < steps


_OF_DEMO_VIDEO = "sampler { steps 20  guidance 2  source_guidance 1  skip 10% }"


def _untuned(spec: EditSpec) -> Iterator[Diagnostic]:
    """Check that FlowEdit has other settings than its defaults, which are for large models."""
    defaults = Sampler()
    for setting in ("guidance", "source_guidance", "skip"):
        if getattr(spec.sampler, setting) != getattr(defaults, setting):
            return
    message = "edits by `demo-video` come out wrong with the default settings of FlowEdit, which "
    message += "are for large models"
    cure = f"Write `{_OF_DEMO_VIDEO}`."
    yield Diagnostic("G119", message, cure, spec.sampler.span or spec.span_of("model"))


def _unguided(spec: EditSpec, process: ProcessName) -> Iterator[Diagnostic]:
    """Check that a negative prompt is used: it takes part in guidance of another scale than 1."""
    sampler = spec.sampler
    scales = [sampler.guidance, *_given(sampler.low_noise_guidance)]
    if process == "flow_edit":
        scales.append(sampler.source_guidance)
    if spec.negative.strip() and all(scale == 1 for scale in scales):
        message = "`negative` has no effect with `guidance 1`"
        cure = "Remove it, or write a larger `guidance`."
        yield Diagnostic("G111", message, cure, spec.span_of("negative"))


def _given(scale: float | None) -> list[float]:
    return [] if scale is None else [scale]
