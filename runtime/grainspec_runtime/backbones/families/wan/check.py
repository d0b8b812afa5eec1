"""Check what a spec uses of a Wan checkpoint, from configuration files. Free of torch."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from grainspec.diagnostics import fail
from grainspec.model.spec import EditSpec
from grainspec_runtime.backbones.families.wan.configs import WanConfigs, read_configs
from grainspec_runtime.backbones.families.wan.controls import check_vace_controls
from grainspec_runtime.backbones.unsupported import Feature, check_supported
from grainspec_runtime.models.folder import ModelFolder

_LACKING: frozenset[Feature] = frozenset({"inject", "freeu", "flow", "norm", "frames"})
"""What no Wan model has: a UNet's decoder, frames one by one, group norms."""
_VACE = 'a VACE checkpoint: `model "Wan-AI/Wan2.1-VACE-1.3B-diffusers"`'


def check(
    spec: EditSpec,
    base: Path,
    model: ModelFolder,
    parts: Collection[str],
    family: str,
    *,
    outlined: bool = False,
) -> None:
    """Raise GrainError (G504) for what a checkpoint with these components does not support."""
    configs = read_configs(model, parts)
    check_supported(spec, family, _LACKING, one_expert=len(configs.experts) == 1)
    check_controls(spec, configs)
    if not outlined:
        check_annotators(spec, base)


def check_controls(spec: EditSpec, configs: WanConfigs) -> None:
    """Raise GrainError for controls that a model has no input for, or cannot follow together."""
    if not spec.controls:
        return
    if not configs.is_vace:
        message = f"`control` is not supported by {spec.model}, a Wan model without control blocks"
        raise fail("G504", message, f"Use {_VACE}; or remove `control`.", spec.controls[0].span)
    check_vace_controls(spec.controls, spec.model)


def check_annotators(spec: EditSpec, base: Path) -> None:
    """Raise GrainError for controls whose pictures cannot be made."""
    if not spec.controls:
        return
    from grainspec_runtime.conditioning.annotate import check_annotator  # imports torch

    for control in spec.controls:
        if control.kind != "inpaint":
            check_annotator(control, base, spec.model)
