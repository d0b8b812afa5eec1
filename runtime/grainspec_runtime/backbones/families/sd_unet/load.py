"""Load a Stable Diffusion checkpoint as a stock pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel

from grainspec_runtime.backbones.families.sd_unet.checkpoint import StableDiffusion
from grainspec_runtime.backbones.unets.load import load_pipeline
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.options import LoadOptions


def load(
    model: ModelFolder, options: LoadOptions, parts: Iterable[str], weighted: Sequence[str]
) -> StableDiffusion:
    """Load a Stable Diffusion checkpoint's components, its ``parts``.

    Raises as :func:`grainspec_runtime.backbones.unets.load.load_pipeline` does.
    """
    assemble = partial(_pipeline, index=model.index)
    loaded = load_pipeline(
        model, options, parts, weighted, unet=UNet2DConditionModel, assemble=assemble
    )
    return StableDiffusion(
        name=model.name,
        folder=model.folder,
        pipe=loaded.pipe,
        device=loaded.device,
        dtype=loaded.dtype,
        file=model.file.path if model.file else None,
        findings=loaded.findings,
    )


def _pipeline(
    parts: dict[str, Any], index: Mapping[str, Any]
) -> StableDiffusionPipeline | StableDiffusionXLPipeline:
    """Assemble the stock pipeline, without its safety checker and watermarker."""
    if "text_encoder_2" in parts:
        zeros = bool(index.get("force_zeros_for_empty_prompt", True))
        return StableDiffusionXLPipeline(
            **parts, force_zeros_for_empty_prompt=zeros, add_watermarker=False
        )
    return StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
