"""Load a checkpoint's components with diffusers' own methods, as a stock pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionXLPipeline
from torch import nn
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizerFast,
)

from grainspec.diagnostics import Diagnostic, GrainError, fail, reason_of
from grainspec_runtime.backbones.components import load_component
from grainspec_runtime.backbones.unets.add import fuse_loras, load_embeddings
from grainspec_runtime.backbones.unets.load_file import parts_of_file
from grainspec_runtime.backbones.unets.schedules import schedule_of
from grainspec_runtime.device import best_device
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.schedules.ddim import ddim_scheduler

_CLASSES: dict[str, Any] = {
    "vae": AutoencoderKL,
    "text_encoder": CLIPTextModel,
    "text_encoder_2": CLIPTextModelWithProjection,
    "tokenizer": CLIPTokenizerFast,
    "tokenizer_2": CLIPTokenizerFast,
}


@dataclass(frozen=True)
class LoadedPipeline:
    """A stock pipeline that is loaded: frozen, on its device and in its precision."""

    pipe: Any
    device: torch.device
    dtype: torch.dtype
    findings: tuple[Diagnostic, ...]


def load_pipeline(
    model: ModelFolder,
    options: LoadOptions,
    parts: Iterable[str],
    weighted: Sequence[str],
    *,
    unet: type[nn.Module],
    assemble: Callable[[dict[str, Any]], Any],
) -> LoadedPipeline:
    """Load a checkpoint's components, its ``parts``, and ``assemble`` a stock pipeline of them.

    The ``weighted`` ones are loaded from safetensors only; ``unet`` is the class of the one that is
    saved. SDXL's VAE stays in float32 in a float16 model if its configuration says so
    (``force_upcast``), because it overflows otherwise. LoRAs and textual inversions are loaded by
    the pipeline's own methods, in float32. LoRAs are fused, so they do not slow down sampling.

    Raises GrainError: G502 if weights are missing or broken, G508 if a LoRA or a textual inversion
    does not fit the model, G501 if LoRAs are given and peft is not installed; ValueError if options
    cannot be combined.
    """
    device = torch.device(options.device) if options.device else best_device()
    if options.offload == "group":
        message = f"`--offload group` is for video transformers, but {model.name} has a UNet"
        raise fail("G545", message, "Use `--offload model` or `--offload sequential`.", model.span)
    if options.offload == "sequential" and (options.compile or device.type == "cpu"):
        raise ValueError("sequential offload requires a GPU, and cannot be combined with `compile`")
    folder, span, parts = model.folder, model.span, list(parts)
    networks = [part for part in parts if part in weighted]
    dtype = options.dtype
    if dtype is None:
        dtype = torch.float32 if device.type == "cpu" else torch.float16
    try:
        scheduler = ddim_scheduler(*schedule_of(model), span)
        if model.file:
            loaded = parts_of_file(model, model.file.path, _tokenizers(folder, parts), scheduler)
        else:
            classes = _CLASSES | {"unet": unet}
            loaded = {part: load_component(classes[part], folder / part) for part in networks}
            loaded |= _tokenizers(folder, parts) | {"scheduler": scheduler}
        pipe = assemble(loaded)
    except GrainError:
        raise
    except Exception as error:
        # For a broken checkpoint diffusers, transformers and tokenizers raise dozens of types.
        reason = reason_of(error)
        message = f"the model {model.name} cannot be loaded: {reason}"
        raise fail("G502", message, "Check that the model's download is complete.", span) from error
    load_embeddings(pipe, options.embeddings)
    findings = fuse_loras(pipe, options.loras)
    half_vae = dtype != torch.float16 or not (pipe.vae.config.force_upcast and _is_xl(pipe))
    for part, module in pipe.components.items():
        if isinstance(module, torch.nn.Module):
            kept = dtype if part != "vae" or half_vae else torch.float32
            # diffusers' own `to` warns about modules that these checkpoints do not have
            place = "cpu" if options.offload else device
            torch.nn.Module.to(module, device=place, dtype=kept).eval().requires_grad_(False)
    _apply_options(pipe, options, device)
    return LoadedPipeline(pipe, device, dtype, tuple(findings))


def _tokenizers(folder: Path, parts: Iterable[str]) -> dict[str, Any]:
    names = [part for part in parts if part.startswith("tokenizer")]
    return {part: _CLASSES[part].from_pretrained(folder / part) for part in names}


def _apply_options(pipe: Any, options: LoadOptions, device: torch.device) -> None:
    if options.offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif options.offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    if options.vae_slicing:
        pipe.vae.enable_slicing()
    if options.vae_tiling:
        pipe.vae.enable_tiling()
    if options.compile:
        pipe.unet.compile()


def _is_xl(pipe: object) -> bool:
    return isinstance(pipe, StableDiffusionXLPipeline)
