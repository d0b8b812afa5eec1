"""Load a checkpoint's parts with diffusers' own ``from_pretrained``, as a stock pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors import SafetensorError
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizerFast

from grainspec.diagnostics import fail, reason_of
from grainspec.diagnostics.span import Span
from grainspec_runtime.backbones.add import fuse_loras, teach_words
from grainspec_runtime.backbones.additions import Embedding, Lora
from grainspec_runtime.backbones.locate import WEIGHTED, locate, model_parts, read_json
from grainspec_runtime.backbones.prompts import EncodedPrompt, denoiser_inputs, encode_prompt
from grainspec_runtime.device import best_device

Offload = Literal["model", "sequential"]

VAE_BATCH = 4
"""Frames that the VAE is given at once: what it needs does not grow with the clip."""

_CLASSES: dict[str, Any] = {
    "unet": UNet2DConditionModel,
    "vae": AutoencoderKL,
    "text_encoder": CLIPTextModel,
    "text_encoder_2": CLIPTextModelWithProjection,
    "tokenizer": CLIPTokenizerFast,
    "tokenizer_2": CLIPTokenizerFast,
}


@dataclass(frozen=True)
class Checkpoint:
    """A Stable Diffusion checkpoint (1.x, 2.x or XL) as a stock pipeline, frozen.

    It computes on ``device`` in ``dtype``; the VAE may have more precision (see
    :func:`load_checkpoint`).
    """

    name: str
    folder: Path
    pipe: StableDiffusionPipeline | StableDiffusionXLPipeline
    device: torch.device
    dtype: torch.dtype

    @property
    def unet(self) -> UNet2DConditionModel:
        """The denoiser."""
        return self.pipe.unet

    @property
    def vae(self) -> AutoencoderKL:
        """The autoencoder between pixels and latents."""
        return self.pipe.vae

    @property
    def scheduler(self) -> DDIMScheduler:
        """The noise schedule."""
        return self.pipe.scheduler

    @property
    def pixels_per_latent(self) -> int:
        """Pixels across one latent."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    def encode_prompt(self, text: str) -> EncodedPrompt:
        """A prompt as the UNet reads it (see :func:`grainspec_runtime.backbones.prompts`)."""
        return encode_prompt(self.pipe, text, device=self.device)

    def denoiser_inputs(self, prompts: list[EncodedPrompt], latents: Tensor) -> dict[str, Any]:
        """The UNet's keyword arguments: a pass per prompt over ``latents`` ``[F, c, h, w]``."""
        frames, _, rows, columns = latents.shape
        unit = self.pixels_per_latent
        return denoiser_inputs(prompts, frames=frames, width=columns * unit, height=rows * unit)

    @torch.no_grad()  # not inference_mode: accelerate makes parameters of what it offloads
    def encode_frames(self, frames_F3HW: Tensor) -> Tensor:
        """Latents ``[F, c, h, w]`` of frames in [-1, 1]: the posterior's mean, scaled."""
        latents = []
        for part in frames_F3HW.split(VAE_BATCH):
            part = part.to(self.device, self.vae.dtype)
            latents.append(self.vae.encode(part).latent_dist.mean)
        self.pipe.maybe_free_model_hooks()  # where parts are offloaded: the VAE's turn is over
        mean, scale = self._latent_scale()
        scaled = (torch.cat(latents) - mean) * scale
        # one memory order whatever the VAE yields: convolutions round by it, and runs must repeat
        return scaled.to(self.dtype).contiguous()

    @torch.no_grad()
    def decode_latents(self, latents_Fchw: Tensor) -> Tensor:
        """Frames ``[F, 3, H, W]``, float32 in [-1, 1] and on the CPU, of latents."""
        mean, scale = self._latent_scale()
        frames = []
        for part in latents_Fchw.split(VAE_BATCH):
            part = part.to(self.device, self.vae.dtype) / scale + mean
            frames.append(self.vae.decode(part).sample.float().clamp(-1, 1).cpu())
        self.pipe.maybe_free_model_hooks()
        return torch.cat(frames)

    def _latent_scale(self) -> tuple[Tensor | float, Tensor | float]:
        """What is taken from the VAE's latents, and what they are then multiplied by."""
        config = self.vae.config
        scale = config.scaling_factor
        if config.latents_mean is None or config.latents_std is None:
            return config.shift_factor or 0.0, scale
        mean, std = (
            torch.tensor(values, device=self.device, dtype=self.vae.dtype).view(1, -1, 1, 1)
            for values in (config.latents_mean, config.latents_std)
        )
        return mean, scale / std


def _ddim(folder: Path, span: Span | None) -> DDIMScheduler:
    """A DDIM scheduler with the noise schedule of a checkpoint, whichever sampler it names.

    What DDIM knows and the checkpoint's own sampler does not is set as diffusers' Stable Diffusion
    pipeline sets it; its defaults are those of another model, and clip latents to [-1, 1].
    """
    saved = read_json(folder / "scheduler_config.json", span)
    return DDIMScheduler.from_pretrained(
        folder,
        timestep_spacing="leading",
        clip_sample=False,
        thresholding=False,
        steps_offset=saved.get("steps_offset", 1),
        set_alpha_to_one=saved.get("set_alpha_to_one", False),
    )


def _whole(model: Any, folder: Path) -> Any:
    """A model with all its weights; transformers would make up what is missing, with a warning."""
    names = [path.name for path in folder.glob("*.safetensors")]
    variant = "fp16" if all(".fp16" in name for name in names) else None
    loaded, found = model.from_pretrained(
        folder, use_safetensors=True, variant=variant, output_loading_info=True
    )
    missing = sorted(found["missing_keys"])
    if missing:
        raise ValueError(f"{folder.name} lacks {len(missing)} weights, such as {missing[0]}")
    return loaded


def load_checkpoint(
    model: str,
    base: Path,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    offload: Offload | None = None,
    vae_slicing: bool = False,
    vae_tiling: bool = False,
    compile: bool = False,
    loras: Sequence[Lora] = (),
    embeddings: Sequence[Embedding] = (),
    span: Span | None = None,
) -> Checkpoint:
    """Load ``demo``, a folder or a hub id (see :func:`locate`), from safetensors alone.

    ``dtype`` is float32 on a CPU and float16 elsewhere unless given. SDXL's VAE stays in float32
    where the rest is float16 and it asks for that (``force_upcast``): it overflows otherwise.

    All of these are diffusers' and torch's own: ``offload`` keeps the parts in the CPU's memory and
    brings to ``device`` the one that works (``model``), or layer after layer (``sequential``: least
    memory, slowest); ``vae_slicing`` and ``vae_tiling`` let the VAE work on one frame at a time and
    on tiles of it; ``compile`` lets torch.compile have the UNet.

    ``loras`` and ``embeddings`` are loaded by the pipeline's own calls, in float32, and LoRAs are
    fused: what follows runs as fast as without.

    Raises GrainError: G502 for weights that are missing or broken, G508 for a LoRA or a textual
    inversion that does not fit the model, G501 if LoRAs are asked for without peft, and what
    :func:`locate` raises; ValueError for options that cannot work together.
    """
    device = torch.device(device) if device else best_device()
    if offload == "sequential" and (compile or device.type == "cpu"):
        raise ValueError("layers that come and go need a GPU to come to, and cannot be compiled")
    folder = locate(model, base, weights=True, span=span)
    if dtype is None:
        dtype = torch.float32 if device.type == "cpu" else torch.float16
    try:
        parts = {
            part: _whole(_CLASSES[part], folder / part)
            if part in WEIGHTED
            else _CLASSES[part].from_pretrained(folder / part)
            for part in model_parts(folder, model, span)
        }
        parts["scheduler"] = _ddim(folder / "scheduler", span)
    except (OSError, SafetensorError, ValueError, RuntimeError, KeyError) as error:
        reason = reason_of(error)
        message = f"the model {model} cannot be loaded: {reason}"
        raise fail("G502", message, "Was it downloaded in full?", span) from error
    pipe = _pipeline(parts, read_json(folder / "model_index.json", span))
    teach_words(pipe, embeddings)
    fuse_loras(pipe, loras)
    half_vae = dtype != torch.float16 or not (pipe.vae.config.force_upcast and _is_xl(pipe))
    for part, module in pipe.components.items():
        if isinstance(module, torch.nn.Module):
            kept = dtype if part != "vae" or half_vae else torch.float32
            # diffusers' own `to` warns about casts of modules that no such checkpoint has
            place = "cpu" if offload else device
            torch.nn.Module.to(module, device=place, dtype=kept).eval().requires_grad_(False)
    if offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    if vae_slicing:
        pipe.vae.enable_slicing()
    if vae_tiling:
        pipe.vae.enable_tiling()
    if compile:
        pipe.unet.compile()
    return Checkpoint(name=model, folder=folder, pipe=pipe, device=device, dtype=dtype)


def _pipeline(
    parts: dict[str, Any], index: dict[str, Any]
) -> StableDiffusionPipeline | StableDiffusionXLPipeline:
    """The stock pipeline of these parts, without what judges or marks its pictures."""
    if "text_encoder_2" in parts:
        zeros = bool(index.get("force_zeros_for_empty_prompt", True))
        return StableDiffusionXLPipeline(
            **parts, force_zeros_for_empty_prompt=zeros, add_watermarker=False
        )
    return StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )


def _is_xl(pipe: object) -> bool:
    return isinstance(pipe, StableDiffusionXLPipeline)
