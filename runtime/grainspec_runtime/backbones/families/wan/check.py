"""Check what a spec uses of a Wan checkpoint, from configuration files. Free of torch."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from grainspec.diagnostics import fail
from grainspec.model.spec import EditSpec
from grainspec_runtime.backbones.families.wan.configs import WanConfigs, read_configs
from grainspec_runtime.models.folder import ModelFolder

_USE_UNET = 'or use a Stable Diffusion model: `model "stable-diffusion-v1-5/stable-diffusion-v1-5"`'


def check(spec: EditSpec, base: Path, model: ModelFolder, parts: Collection[str]) -> None:
    """Raise GrainError (G504) for what a checkpoint with these components does not support."""
    configs = read_configs(model, parts)
    check_inject(spec)
    check_flow(spec)
    check_norms(spec)
    check_controls(spec, base, configs)
    check_guidance(spec, configs)


def check_inject(spec: EditSpec) -> None:
    """Raise GrainError if a spec injects features of the source clip."""
    if spec.inject:
        message = f"`inject` needs the decoder of a UNet, which {spec.model}, a Wan model, lacks"
        cure = f"Remove `inject`: `flow_edit` keeps the source's shapes without it; {_USE_UNET}."
        raise fail("G504", message, cure, spec.inject.span)


def check_flow(spec: EditSpec) -> None:
    """Raise GrainError if attention shall follow optical flow."""
    if spec.flow:
        message = f"`flow` is not supported by {spec.model}, a Wan model"
        cure = f"Remove `flow`: Wan attends to all frames at once; {_USE_UNET}."
        raise fail("G504", message, cure, spec.flow.span)


def check_norms(spec: EditSpec) -> None:
    """Raise GrainError for statistics of group norms over the clip."""
    if spec.attention.norm == "clip":
        message = f"`norm clip` needs group norms, which {spec.model}, a Wan model, lacks"
        cure = "Remove it: Wan sees the whole clip at once, so its frames match without it."
        raise fail("G504", message, cure, spec.attention.span_of("norm") or spec.attention.span)


def check_controls(spec: EditSpec, base: Path, configs: WanConfigs) -> None:
    """Raise GrainError for controls of a model that is no VACE, or that have a ControlNet."""
    if spec.controls and configs.is_vace:  # imports torch
        from grainspec_runtime.conditioning.annotate import check_annotator
    for control in spec.controls:
        if not configs.is_vace:
            message = f"{spec.model} has no input for `control`"
            cure = (
                "Use a VACE checkpoint, whose control blocks are trained on depth, pose and edges: "
                '`model "Wan-AI/Wan2.1-VACE-1.3B-diffusers"`; or remove `control`.'
            )
            raise fail("G504", message, cure, control.span)
        if control.net is not None:
            message = f"`net` names a ControlNet, and {spec.model}, a VACE model, needs none"
            cure = f"Remove `net`: `control {control.kind}`."
            raise fail("G504", message, cure, control.span_of("net") or control.span)
        check_annotator(control, base, spec.model)
    if len(spec.controls) > 1:
        message = (
            f"{spec.model}, a VACE model, takes one `control`; the spec has {len(spec.controls)}"
        )
        raise fail("G504", message, "Keep the one that matters most.", spec.controls[1].span)


def check_guidance(spec: EditSpec, configs: WanConfigs) -> None:
    """Raise GrainError for a guidance of the second expert of a model that has one."""
    if spec.sampler.low_noise_guidance is not None and len(configs.experts) == 1:
        message = f"`low_noise_guidance` is for models of two experts; {spec.model} has one"
        cure = "Use `guidance` alone, or a model of two experts, such as Wan 2.2 T2V-A14B."
        span = spec.sampler.span_of("low_noise_guidance") or spec.sampler.span
        raise fail("G504", message, cure, span)
