"""Clips to latents and back, with Wan's causal VAE, on the whole clip at once.

The VAE itself processes the first frame, then four frames at a time, and keeps what the next ones
need. Latents are normalized as in diffusers' pipelines, (x - mean) / std for each channel.

Dimensions: F latent frames, c channels, h rows and w columns of latents; pixels are H x W.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from grainspec_runtime.media.decode import Frames
from grainspec_runtime.media.tensors import refuse_nan, to_frames, to_tensor


@torch.no_grad()  # not inference_mode: accelerate turns offloaded weights into parameters
def encode_clip(vae: Any, frames: Frames, device: torch.device) -> Tensor:
    """Encode frames, uint8 ``[frames, H, W, 3]``, to latents, float32 ``[F, c, h, w]``.

    These are the means of the posterior. Raises ValueError if the last frames do not fill a latent
    frame, and GrainError (G505) for NaN or infinity.
    """
    group = vae.config.scale_factor_temporal
    if (len(frames) - 1) % group:
        message = f"the VAE encodes 1 frame and then {group} at a time, not {len(frames)} frames"
        raise ValueError(message)
    video_13FHW = clip_layout(to_tensor(frames, device)).to(vae.dtype)
    mean_1cFhw = vae.encode(video_13FHW).latent_dist.mean.float()
    mean, inverse_std = _scales(vae, mean_1cFhw)
    latents = frame_layout((mean_1cFhw - mean) * inverse_std)
    refuse_nan(latents)
    return latents


@torch.no_grad()
def decode_clip(vae: Any, latents_Fchw: Tensor, device: torch.device) -> Frames:
    """Decode latents to frames, uint8 ``[frames, H, W, 3]``; raises G505 for NaN or infinity."""
    latents = clip_layout(latents_Fchw).to(device, vae.dtype)
    mean, inverse_std = _scales(vae, latents)
    video_13FHW = vae.decode(latents / inverse_std + mean, return_dict=False)[0]
    return to_frames(frame_layout(video_13FHW))


def clip_layout(frames_Fchw: Tensor) -> Tensor:
    """``[F, c, h, w]`` to ``[1, c, F, h, w]``, in the memory order of diffusers' pipelines."""
    return frames_Fchw.transpose(0, 1)[None].contiguous()


def frame_layout(clip_1cFhw: Tensor) -> Tensor:
    """``[1, c, F, h, w]`` to ``[F, c, h, w]``, the inverse of :func:`clip_layout`."""
    return clip_1cFhw[0].transpose(0, 1).contiguous()


def _scales(vae: Any, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and inverse deviation of the latents' channels, as in diffusers' pipelines."""
    config = vae.config
    shape = (1, config.z_dim, 1, 1, 1)
    mean = torch.tensor(config.latents_mean).view(shape).to(like)
    return mean, 1.0 / torch.tensor(config.latents_std).view(shape).to(like)
