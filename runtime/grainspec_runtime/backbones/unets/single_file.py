"""A Stable Diffusion checkpoint in one file: does its configuration fit? Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec_runtime.models.claims import check_claims
from grainspec_runtime.models.file_kinds import UNET
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.weights import WeightsHeader

_FIRST = f"{UNET}input_blocks.0.0.weight"
_SD2 = "cond_stage_model.model."
_TOLD: dict[str, dict[str, Any]] = {
    "v_pred": {"prediction_type": "v_prediction"},
    "ztsnr": {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True},
}
"""Tensors without values by which trainers mark a checkpoint, and what they say of its schedule."""


def told_by(model: ModelFolder) -> dict[str, Any]:
    """Return the settings of the noise schedule that a checkpoint in one file says itself."""
    names = model.file.shapes if model.file else {}
    return {key: value for mark in _TOLD if mark in names for key, value in _TOLD[mark].items()}


def check_file(
    model: ModelFolder, header: WeightsHeader, configs: Mapping[str, Mapping[str, Any]]
) -> None:
    """Raise GrainError if a configuration does not fit the weights of a checkpoint in one file.

    G507: a side of the UNet is another; G528: a configuration claims more than the file has.
    """
    for part, config in configs.items():
        check_claims(config, header.shapes, f"the {part} in {model.folder}", model.span)
    unet = configs["unet"]
    first = header.shapes.get(_FIRST, (0, 0))
    channels = unet.get("in_channels", 4)
    if len(first) != 4 or first[1] != channels:
        has = first[1] if len(first) == 4 else "unknown"
        message = f"the UNet has {has} input channels, where {channels} are expected"
        cure = "Inpainting, depth and editing models are not supported; use the base model."
        raise _misfit(model, message, cure)
    expected = unet.get("cross_attention_dim", 1280)
    for name, shape in header.shapes.items():
        if name.startswith(UNET) and name.endswith("attn2.to_k.weight"):
            widths = expected if isinstance(expected, list) else [expected]
            if len(shape) != 2 or shape[1] not in widths:
                message = (
                    f"its UNet has text embeddings of width {shape[-1:]}, "
                    f"but the configuration in {model.folder} says {expected}"
                )
                cure = "Put the configuration of this kind of checkpoint beside it."
                raise _misfit(model, message, cure)


def file_doubts(model: ModelFolder, scheduler: Mapping[str, Any]) -> list[Diagnostic]:
    """Return warnings (G525) if a file leaves open what to load, or what its UNet predicts."""
    if not model.file:
        return []
    if sum(name.startswith("model_ema.") for name in model.file.shapes) > _MANY:
        message = (
            f"{model.name} has two sets of weights, and those of training are used, "
            "not their average (EMA)"
        )
        cure = "Use the file with the average alone, which is often named `emaonly`."
        return [Diagnostic("G525", message, cure, model.span), *_unsaid(model, scheduler)]
    return _unsaid(model, scheduler)


_MANY = 100
"""More tensors of averaged weights than this are a whole UNet, as in diffusers' conversion."""


def _unsaid(model: ModelFolder, scheduler: Mapping[str, Any]) -> list[Diagnostic]:
    if not (model.file and model.assumed and model.file.has(_SD2)) or told_by(model):
        return []
    kind = scheduler.get("prediction_type", "epsilon")
    folder = model.file.path.with_suffix("")
    message = (
        f"{model.name} does not say what its UNet predicts: shapes are the same for "
        f"`v_prediction` and `epsilon`; this assumes `{kind}`"
    )
    cure = (
        "If it was made from 2.1-base or 2.0-base, it predicts `epsilon`: put the configuration of "
        f"that model in the folder {folder}."
    )
    return [Diagnostic("G525", message, cure, model.span)]


def _misfit(model: ModelFolder, message: str, cure: str) -> GrainError:
    text = f"the components of {model.name} do not fit together: {message}"
    return fail("G507", text, cure, model.span)
