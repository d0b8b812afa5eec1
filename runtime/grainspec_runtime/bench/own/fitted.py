"""Fit the edits of published configurations to the model that makes them.

A configuration names a model and a ControlNet of its own. Another model may have no ControlNet: the
clip is then edited without, which is reported (G587). An edit whose control lacks a package or
weights is left out: its methods would be others than the published ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from grainspec.cli.output import counted
from grainspec.diagnostics import Diagnostic, GrainError, visible
from grainspec.model.demo_models import demo_model, is_demo_unet
from grainspec.model.spec import DEMO, Control, EditSpec
from grainspec_runtime.bench.methods import failure_of
from grainspec_runtime.bench.own.config_section import is_folder
from grainspec_runtime.bench.own.layouts import ClipEdit
from grainspec_runtime.known import known

_NO_CONTROL = {"G504", "G507", "G546"}
"""The model has no input for a control, or for this one."""
_SHOWN = 12


def fitted(edits: Sequence[ClipEdit], model: str) -> tuple[list[ClipEdit], dict[str, str]]:
    """The edits for a model, and by name why others are left out.

    model: takes the place of that of every configuration; empty for their own.
    """
    kept: list[ClipEdit] = []
    left_out: dict[str, str] = {}
    for edit in edits:
        try:
            kept.append(_fitted(edit, model) if edit.own else edit)
        except GrainError as error:
            cure = next(it.cure for it in error.diagnostics if it.is_error)
            left_out[edit.name] = (
                f"{failure_of(error)}. {cure} Without `control_config` in its configuration, all "
                "methods edit without a control"
            )
    return kept, left_out


def unfollowed(edits: Sequence[ClipEdit]) -> list[Diagnostic]:
    """The warning (G587) about settings that are not followed, with the number of edits of each."""
    counts = Counter(reason for edit in edits for reason in edit.unfollowed)
    if not counts:
        return []
    reasons = [
        visible(reason) if count == len(edits) else f"{visible(reason)} in {count} of {len(edits)}"
        for reason, count in counts.most_common(_SHOWN)
    ]
    more = len(counts) - _SHOWN
    message = f"not as in the configurations of {counted(len(edits), 'edit')}: {'; '.join(reasons)}"
    message += f"; and {more} more settings" if more > 0 else ""
    cure = "Compare with published results accordingly; write specs for clips to edit otherwise."
    return [Diagnostic("G587", message, cure)]


def _fitted(edit: ClipEdit, model: str) -> ClipEdit:
    """Raises GrainError if its control lacks a package or weights."""
    spec, reasons = edit.spec, list(edit.unfollowed)
    if model:
        spec = spec.replaced({}, model=model)
    elif demo_model(spec.model) is None and not is_folder(edit.base, spec.model):
        done = "it is not here; `--model` chooses another than the demo model"
        reasons.append(f"`pretrained_model_path: {spec.model[:60]}` ({done})")
        spec = spec.replaced({}, model=DEMO)
    controls, reason = _followed(spec, edit)
    reasons += [reason] if reason else []
    spec = spec.replaced({}, controls=controls)
    return replace(edit, spec=spec, unfollowed=tuple(reasons))


def _followed(spec: EditSpec, edit: ClipEdit) -> tuple[tuple[Control, ...], str]:
    """The controls that the model follows, and what is done otherwise than asked."""
    if not spec.controls:
        return (), ""
    (control,) = spec.controls
    if is_demo_unet(spec.model):
        if control.kind != "pose":
            return (), _without(control, f"`{spec.model}` has a ControlNet for `pose` alone")
        done = f"`{spec.model}` has a ControlNet and a detector of its own"
        own = Control(kind="pose", scale=control.scale)
        return (own,), f"`pretrained_controlnet_path`, `hand` and `face` ({done})"
    try:
        about = known(spec, edit.base)
    except GrainError:
        return spec.controls, ""  # every method says what is wrong with the model
    if about.backbone.noise == "flow":  # which no ControlNet is for
        control = control.replaced({}, net=None)
    try:
        about.check(spec.replaced({}, controls=(control,)), edit.base)
    except GrainError as error:
        if not {it.code for it in error.diagnostics if it.is_error} <= _NO_CONTROL:
            raise
        return (), _without(control, next(it.message for it in error.diagnostics if it.is_error))
    return (control,), ""


def _without(control: Control, reason: str) -> str:
    return f"`control_config`: `control {control.kind}` ({reason}; all methods edit without it)"
