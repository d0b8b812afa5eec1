"""Check what a spec uses of a UNet, from configuration files. Free of torch."""

from __future__ import annotations

from pathlib import Path

from grainspec.diagnostics import fail
from grainspec.model.spec import EditSpec
from grainspec_runtime.backbones.unets.configs import read_configs, text_width
from grainspec_runtime.backbones.unets.decoder import injected_layers
from grainspec_runtime.models.config import read_json
from grainspec_runtime.models.folder import ModelFolder


def check_spec(spec: EditSpec, base: Path, model: ModelFolder, *, outlined: bool) -> None:
    """Raise GrainError for a sampler, controls or injection that a UNet does not support.

    ``outlined`` leaves out controls, which need their own networks.
    """
    _check_sampler(spec, model)
    _check_kinds(spec)
    if not outlined:
        _check_controls(spec, base, model)
    _check_inject(spec, model)


def _check_kinds(spec: EditSpec) -> None:
    """Raise GrainError (G546) for a control that no ControlNet is for."""
    for control in spec.controls:
        if control.kind == "inpaint":
            message = f"`control inpaint` is for VACE, and {spec.model} follows ControlNets"
            cure = "Remove it: `blend { space both }` keeps the clip around the edited regions."
            raise fail("G546", message, cure, control.span_of("kind") or control.span)


def _check_controls(spec: EditSpec, base: Path, model: ModelFolder) -> None:
    """Raise GrainError if a control's annotator or ControlNet is missing or does not fit."""
    if not spec.controls:
        return
    from grainspec_runtime.conditioning.annotate import check_annotator
    from grainspec_runtime.conditioning.nets import check_net

    width = text_width(read_json(model.folder / "unet" / "config.json"))
    for control in spec.controls:
        check_annotator(control, base, spec.model)
        check_net(control, base, spec.model, width)


def _check_sampler(spec: EditSpec, model: ModelFolder) -> None:
    """Raise GrainError (G504) for a sampler without the model's noise schedule.

    diffusers' DEIS cannot rescale a schedule to end in pure noise; it would follow another one.
    """
    _, scheduler = read_configs(model, [])
    if spec.sampler.method == "deis" and scheduler.get("rescale_betas_zero_snr"):
        message = f"`deis` does not have the noise schedule of {spec.model}"
        cure = "The model was trained with zero terminal SNR; use `ddim`, `dpmpp` or `unipc`."
        raise fail("G504", message, cure, spec.sampler.span_of("method") or spec.sampler.span)


def _check_inject(spec: EditSpec, model: ModelFolder) -> None:
    """Raise GrainError (G404) if the UNet's decoder lacks a level that `inject` names."""
    if spec.inject:
        injected_layers(spec.inject, read_json(model.folder / "unet" / "config.json"))
