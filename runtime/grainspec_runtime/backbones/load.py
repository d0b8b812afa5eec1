"""Load a checkpoint's parts with diffusers' own ``from_pretrained``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors import SafetensorError
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizerFast

from grainspec.diagnostics import fail
from grainspec.nodes import Span
from grainspec_runtime.backbones.locate import locate, read_json


@dataclass(frozen=True)
class Checkpoint:
    """The parts of a Stable Diffusion checkpoint, frozen, on one device in one dtype."""

    name: str
    folder: Path
    tokenizer: CLIPTokenizerFast
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    scheduler: DDIMScheduler
    device: torch.device
    dtype: torch.dtype

    @torch.inference_mode()
    def encode_prompt(self, text: str) -> Tensor:
        """The text encoder's last hidden states, ``[1, T, C]``."""
        ids = self.tokenizer(
            text,
            padding="max_length",
            max_length=self.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        return self.text_encoder(ids.to(self.device))[0]

    @torch.inference_mode()
    def encode_frames(self, frames_F3HW: Tensor) -> Tensor:
        """Latents ``[F, c, h, w]`` of frames in [-1, 1]: the posterior's mean, scaled."""
        config = self.vae.config
        latents = []
        for frame in frames_F3HW.to(self.device, self.dtype).split(4):
            latents.append(self.vae.encode(frame).latent_dist.mean)
        scaled = (torch.cat(latents) - (config.shift_factor or 0.0)) * config.scaling_factor
        # one memory order whatever the VAE yields: convolutions round by it, and runs must repeat
        return scaled.contiguous()

    @torch.inference_mode()
    def decode_latents(self, latents_Fchw: Tensor) -> Tensor:
        """Frames ``[F, 3, H, W]``, float32 in [-1, 1], of latents."""
        config = self.vae.config
        latents = latents_Fchw / config.scaling_factor + (config.shift_factor or 0.0)
        frames = [self.vae.decode(part).sample.float() for part in latents.split(4)]
        return torch.cat(frames).clamp(-1, 1)


def best_device() -> torch.device:
    """CUDA if there is one, then Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


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
    span: Span | None = None,
) -> Checkpoint:
    """Load ``demo``, a folder or a hub id (see :func:`locate`), from safetensors alone.

    ``dtype`` is float32 on a CPU and float16 elsewhere unless given. Raises GrainError: G502 for
    weights that are missing or broken, and what :func:`locate` raises.
    """
    folder = locate(model, base, weights=True, span=span)
    device = torch.device(device) if device else best_device()
    if dtype is None:
        dtype = torch.float32 if device.type == "cpu" else torch.float16
    try:
        checkpoint = Checkpoint(
            name=model,
            folder=folder,
            tokenizer=CLIPTokenizerFast.from_pretrained(folder / "tokenizer"),
            text_encoder=_whole(CLIPTextModel, folder / "text_encoder"),
            unet=_whole(UNet2DConditionModel, folder / "unet"),
            vae=_whole(AutoencoderKL, folder / "vae"),
            scheduler=_ddim(folder / "scheduler", span),
            device=device,
            dtype=dtype,
        )
    except (OSError, SafetensorError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        message = f"the model {model} cannot be loaded: {reason}"
        raise fail("G502", message, "Was it downloaded in full?", span) from error
    for part in (checkpoint.text_encoder, checkpoint.unet, checkpoint.vae):
        # diffusers' own `to` warns about casts of modules that no such checkpoint has
        torch.nn.Module.to(part, device=device, dtype=dtype).eval().requires_grad_(False)
    return checkpoint
