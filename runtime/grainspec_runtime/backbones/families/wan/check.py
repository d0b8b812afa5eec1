"""Check what a spec uses of a Wan checkpoint, from configuration files. Free of torch."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from grainspec.diagnostics import fail
from grainspec.model.spec import EditSpec
from grainspec_runtime.backbones.families.wan.configs import WanConfigs, read_configs
from grainspec_runtime.backbones.unsupported import Feature, check_supported
from grainspec_runtime.models.folder import ModelFolder

_LACKING: frozenset[Feature] = frozenset({"inject", "flow", "norm", "frames"})
"""What no Wan model has: a UNet's decoder, frames one by one, group norms."""
_VACE = 'a VACE checkpoint: `model "Wan-AI/Wan2.1-VACE-1.3B-diffusers"`'


def check(
    spec: EditSpec, base: Path, model: ModelFolder, parts: Collection[str], family: str
) -> None:
    """Raise GrainError (G504) for what a checkpoint with these components does not support."""
    configs = read_configs(model, parts)
    one_expert: set[Feature] = {"low_noise_guidance"} if len(configs.experts) == 1 else set()
    check_supported(spec, family, _LACKING | one_expert)
    check_controls(spec, base, configs)


def check_controls(spec: EditSpec, base: Path, configs: WanConfigs) -> None:
    """Raise GrainError for controls that a model has no input for, or that cannot be made.

    VACE has one control, and no ControlNets.
    """
    if not spec.controls:
        return
    first, *more = spec.controls
    if not configs.is_vace:
        message = f"`control` is not supported by {spec.model}, a Wan model without control blocks"
        raise fail("G504", message, f"Use {_VACE}; or remove `control`.", first.span)
    if more:
        message = f"{spec.model}, a VACE model, takes one `control`; the spec has {1 + len(more)}"
        raise fail("G504", message, "Keep the one that matters most.", more[0].span)
    if first.net is not None:
        message = f"`net` names a ControlNet, and {spec.model}, a VACE model, uses none"
        span = first.span_of("net") or first.span
        raise fail("G504", message, f"Remove `net`: `control {first.kind}`.", span)
    from grainspec_runtime.conditioning.annotate import check_annotator  # imports torch

    check_annotator(first, base, spec.model)
