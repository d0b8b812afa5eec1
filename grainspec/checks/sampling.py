"""Checks of the settings of `sampler`, `control` and `blend` against each other."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from grainspec.checks.method import check_method
from grainspec.checks.process import check_process, stated_process
from grainspec.diagnostics import Diagnostic
from grainspec.model.demo_models import is_demo_unet
from grainspec.model.spec import Control, EditSpec, Keep


def check_sampling(spec: EditSpec, absent: Collection[str] = ()) -> Iterator[Diagnostic]:
    """Check settings that contradict each other (G203), or have no effect (G111).

    ``absent`` is that of :func:`grainspec.checks.meaning.check_meaning`.
    """
    sampler = spec.sampler
    if sampler.eta and sampler.method != "ddim":
        message = f"`eta` applies to `ddim` only, not to `{sampler.method}`"
        yield Diagnostic("G203", message, "Remove `eta`.", sampler.span_of("eta"))
    process = stated_process(spec)
    if spec.method:
        yield from check_method(spec, spec.method, absent)
    elif process:
        yield from check_process(spec, process)
    if spec.effective_context and (contradiction := spec.effective_context.contradiction):
        yield contradiction
    if spec.freeu and set(dict(spec.freeu).values()) == {1.0}:
        message = "`freeu` has no effect with factors of 1"
        cure = "Remove it, or write `freeu`, which has the factors of Stable Diffusion 1.5."
        yield Diagnostic("G111", message, cure, spec.freeu.span)
    for control in spec.controls:
        yield from _control(control, spec.model)
    yield from _blending(spec)


_OF_KINDS = {
    "keypoints": ("pose",),
    "depth_values": ("depth", "zoe"),
}
"""The settings of `control` that certain kinds alone have."""
_DETECTING = ("annotator", "keypoints", "depth_values")
"""The settings of `control` that say how its images are made."""


def _control(control: Control, model: str) -> Iterator[Diagnostic]:
    if control.start >= control.until:
        start, until = f"{100 * control.start:g}%", f"{100 * control.until:g}%"
        message = f"the control starts at {start} of the steps and ends at {until}"
        cure = "`from` must be smaller than `until`."
        yield Diagnostic("G203", message, cure, control.span_of("until") or control.span)
    for setting in _DETECTING:
        if getattr(control, setting) == type(control).model_fields[setting].default:
            continue
        kinds = _OF_KINDS.get(setting)
        if setting == "annotator" and control.kind == "inpaint":
            message = "`annotator` has no effect with `control inpaint`, which detects nothing"
        elif kinds and control.kind not in kinds:
            names = " and ".join(f"`control {kind}`" for kind in kinds)
            message = f"`{setting}` has no effect with `control {control.kind}`; it is for {names}"
        elif control.clip is not None:
            message = f"`{setting}` has no effect with `clip`: its images are used as they are"
        elif setting == "keypoints" and is_demo_unet(model) and control.annotator is None:
            message = "`keypoints` has no effect with the demo model, which detects bodies only"
        else:
            continue
        yield Diagnostic("G111", message, f"Remove `{setting}`.", control.span_of(setting))


_BLENDED = {
    "feather": ("latents", "pixels", "both"),
    "from": ("latents", "both"),
    "edges": ("pixels", "both"),
}
"""The settings of `blend` that need certain kinds of `space`."""


def _blending(spec: EditSpec) -> Iterator[Diagnostic]:
    """Check settings of `blend` that have no effect."""
    blend = spec.blend
    values = {
        "feather": blend.feather and blend.feather.value,
        "from": blend.start,
        "edges": blend.edges == "soft",
    }
    for setting, spaces in _BLENDED.items():
        if values[setting] and blend.space not in spaces:
            message = f"`{setting}` has no effect with `space {blend.space}`"
            cure = f"Remove `{setting}`, or write `space {spaces[-1]}`."
            yield Diagnostic("G111", message, cure, blend.span_of(setting) or blend.span)
    if blend.edges == "soft" and blend.space == "pixels" and values["feather"]:
        message = "`feather` has no effect in pixels with `edges soft`, which fade by themselves"
        cure = "Remove `feather` or `edges soft`."
        yield Diagnostic("G111", message, cure, blend.span_of("feather") or blend.span)
    kept = any(isinstance(edit, Keep) for edit in spec.edits)
    if stated_process(spec) == "flow_edit" and not spec.method:
        return  # in which `from` has no effect
    if kept and blend.start == 1 and blend.space in _BLENDED["from"]:
        message = (
            "with `from 100%` the source is never restored, so `keep` has no effect in latents"
        )
        cure = "Write a lower percentage, or `space pixels` without `from`."
        yield Diagnostic("G111", message, cure, blend.span_of("from") or blend.span)
