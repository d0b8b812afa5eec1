"""Load a Wan checkpoint's components with diffusers' own methods, as a stock pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import diffusers
import torch
import torch.distributed as dist
import transformers

from grainspec.diagnostics import Diagnostic, GrainError, fail, reason_of
from grainspec_runtime.backbones.components import load_component
from grainspec_runtime.backbones.families.wan.checkpoint import Wan
from grainspec_runtime.backbones.families.wan.configs import EXPERTS, read_configs, setting_of
from grainspec_runtime.backbones.families.wan.loras import fuse_loras
from grainspec_runtime.backbones.families.wan.memory import WanMemory
from grainspec_runtime.backbones.families.wan.offload import offload, user
from grainspec_runtime.backbones.families.wan.parallel import division_of
from grainspec_runtime.backbones.families.wan.prompts import TextEncoder
from grainspec_runtime.backbones.families.wan.rows import divide_rows
from grainspec_runtime.device import best_device
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.options import LoadOptions, Parallel
from grainspec_runtime.modulation.parts import Parts

_PIPELINES = {
    "WanPipeline": "WanPipeline",
    "WanVideoToVideoPipeline": "WanPipeline",
    "WanVACEPipeline": "WanVACEPipeline",
    "WanImageToVideoPipeline": "WanImageToVideoPipeline",
}
"""The pipeline that is assembled, by the one that a checkpoint names."""
_FULL_PRECISION = ("vae", "image_encoder")
"""Networks that stay in float32, as the model cards load them."""
_TEXT = "text_encoder"
_SETTINGS = ("boundary_ratio", "expand_timesteps")


def load(
    model: ModelFolder, options: LoadOptions, parts: Iterable[str], weighted: Sequence[str]
) -> Wan:
    """Load a Wan checkpoint's components, its ``parts``: bfloat16 on a GPU, float32 on a CPU.

    Networks are loaded from safetensors only, by classes of diffusers and transformers. The parts
    of the transformers that their classes keep in float32 stay so, as do VAE and image encoder.
    LoRAs are fused in the transformers' precision, so they do not slow down sampling.

    Raises GrainError: G502 if weights are missing or broken, G508 if a LoRA does not fit the model
    or a textual inversion is given, G501 if LoRAs are given and peft is not installed; ValueError
    if options cannot be combined.
    """
    device = torch.device(options.device) if options.device else best_device()
    if options.offload == "sequential" and (options.compile or device.type == "cpu"):
        raise ValueError("sequential offload requires a GPU, and cannot be combined with `compile`")
    if options.embeddings:
        message = f"{model.name} has a T5 text encoder, for which there are no textual inversions"
        raise fail("G508", message, "Remove `--embedding`, or train a LoRA.", model.span)
    dtype = options.dtype
    if dtype is None:
        dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    parts = list(parts)
    shared = _shared(model, parts, options.parallel) if options.parallel else None
    read = partial(_component, model, dtype)
    loaded = {name: read(name) for name in [*parts, "scheduler"] if name != _TEXT}
    pipe = _assembled(model, loaded)
    findings = fuse_loras(pipe, options.loras)
    if options.vae_slicing:
        message = f"`--vae-slicing` has no effect on {model.name}: its VAE works on one clip"
        cure = "Remove it; to save memory of the VAE, use `--vae-tiling`."
        findings.append(Diagnostic("G111", message, cure, model.span))
    sizes = {
        name: sum(it.numel() * it.element_size() for it in loaded[name].parameters())
        for name in parts
        if name in weighted and name != _TEXT
    }
    text = TextEncoder(
        pipe,
        partial(read, _TEXT),
        device=device,
        dtype=dtype,
        offload=options.offload,
    )
    offload(pipe, options.offload, device)
    if options.vae_tiling:
        pipe.vae.enable_tiling()
    if shared is not None:
        divide_rows(pipe.vae.decoder)
    if options.compile:
        for name in EXPERTS:
            if name in loaded:
                loaded[name].compile()
    return Wan(
        name=model.name,
        folder=model.folder,
        pipe=pipe,
        device=device,
        dtype=dtype,
        text=text,
        using=user(pipe, options.offload, device),
        memory=WanMemory(
            read_configs(model, parts), {**sizes, _TEXT: text.size}, itemsize=dtype.itemsize
        ),
        findings=tuple(findings),
        shared=shared,
    )


def _shared(model: ModelFolder, parts: list[str], how: Parallel) -> Parts:
    """Return this process's parts of clips; raises GrainError (G748) if they cannot be divided."""
    configs = read_configs(model, parts).experts.values()
    heads = {int(setting_of(config, "num_attention_heads")) for config in configs}
    is_vace = any("vace_layers" in config for config in configs)
    division = division_of(model.name, heads, dist.get_world_size(), how, is_vace=is_vace)
    return Parts(division, heads)


def _component(model: ModelFolder, dtype: torch.dtype, name: str) -> Any:
    """Load a component, a network onto the CPU and frozen."""
    folder, kind = model.folder / name, model.index[name][1]
    try:
        if name.startswith("tokenizer"):
            return transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        if name == "image_processor":
            return transformers.CLIPImageProcessor.from_pretrained(folder)
        if name == "scheduler":
            return getattr(diffusers, kind).from_pretrained(folder)
        library = diffusers if hasattr(diffusers, kind) else transformers
        network = load_component(
            getattr(library, kind),
            folder,
            dtype=torch.float32 if name in _FULL_PRECISION else dtype,
        )
        return network.eval().requires_grad_(False)
    except GrainError:
        raise
    except Exception as error:
        # For a broken checkpoint diffusers, transformers and tokenizers raise dozens of types.
        message = f"the model {model.name} cannot be loaded: {reason_of(error)}"
        cure = "Check that the model's download is complete."
        raise fail("G502", message, cure, model.span) from error


def _assembled(model: ModelFolder, parts: dict[str, Any]) -> Any:
    """Assemble the stock pipeline; the text encoder is lent to it where it encodes."""
    pipeline = getattr(diffusers, _PIPELINES[model.pipeline])
    settings = {key: model.index[key] for key in _SETTINGS if key in model.index}
    if pipeline is diffusers.WanVACEPipeline:
        settings.pop("expand_timesteps", None)
    return pipeline(**parts, **settings, text_encoder=None)
