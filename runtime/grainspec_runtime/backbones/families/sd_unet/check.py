"""Check what a spec uses of a Stable Diffusion UNet, from configuration files. Free of torch."""

from __future__ import annotations

from pathlib import Path

from grainspec.model.spec import EditSpec
from grainspec_runtime.backbones.families.sd_unet.decoder import injected_layers
from grainspec_runtime.backbones.families.sd_unet.describe import text_width
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.locate import read_json


def check_controls(spec: EditSpec, base: Path, model: ModelFolder) -> None:
    """Raise GrainError if a control's annotator or ControlNet is missing or does not fit."""
    if not spec.controls:
        return
    from grainspec_runtime.conditioning.annotate import check_annotator
    from grainspec_runtime.conditioning.nets import check_net

    width = text_width(read_json(model.folder / "unet" / "config.json"))
    for control in spec.controls:
        check_annotator(control, base, spec.model)
        check_net(control, base, spec.model, width)


def check_inject(spec: EditSpec, model: ModelFolder) -> None:
    """Raise GrainError (G404) if the UNet's decoder lacks a level that `inject` names."""
    if spec.inject:
        injected_layers(spec.inject, read_json(model.folder / "unet" / "config.json"))
