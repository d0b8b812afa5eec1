"""Stages 4 and 5: the scale of the latents, and all clips as latents.

Dimensions: B clips, z channels, t latent frames, h x w latents.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from grainspec_runtime.demo.video_training.footage import Footage
from grainspec_runtime.demo.video_training.run import Run
from grainspec_runtime.demo.video_training.whole_clip import encode, whole_clips

_LEAST_SCALE = 0.1
"""The least standard deviation of a channel, as a share of the largest one. A channel that the VAE
does not use would otherwise become as large as the others, and noise for the transformer."""


@dataclass(frozen=True)
class Latents:
    """Encoded clips ``[B, z, t, h, w]``, normalized: the posterior's means and deviations."""

    means: Tensor
    deviations: Tensor

    def sample(self, rows: Tensor) -> Tensor:
        """Draw latents from the posteriors of some clips, float32."""
        noise = torch.randn((len(rows), *self.means.shape[1:]), device=rows.device)
        return self.means[rows].float() + self.deviations[rows].float() * noise


def measure_scale(run: Run, vae: AutoencoderKLWan, footage: Footage) -> None:
    """Write mean and standard deviation of each latent channel into the VAE's configuration."""
    total, squares = torch.zeros(2, vae.config.z_dim, dtype=torch.float64, device=run.device)
    count = 0
    rows = torch.arange(min(run.options.scaled_clips, len(footage)), device=run.device)
    with whole_clips(vae, run.options.convolution), torch.no_grad(), run.autocast():
        for part in rows.split(16):
            mean = encode(vae, footage.clips(part)[0])[0].double()
            total += mean.sum((0, 2, 3, 4))
            squares += mean.square().sum((0, 2, 3, 4))
            count += mean[:, 0].numel()
    average = total / count
    deviation = (squares / count - average.square()).clamp_min(0).sqrt()
    deviation = deviation.clamp_min(_LEAST_SCALE * deviation.max())
    vae.register_to_config(
        latents_mean=[round(float(value), 5) for value in average],
        latents_std=[round(float(value), 5) for value in deviation],
    )


def encode_clips(run: Run, vae: AutoencoderKLWan, footage: Footage) -> Latents:
    """Encode all clips, and all of them mirrored, which come after the others."""
    mean, deviation = scale_of(vae, run.device)
    means, deviations = [], []
    encoder = torch.compile(encode, dynamic=False) if run.options.compile else encode
    with whole_clips(vae, run.options.convolution), torch.no_grad(), run.autocast():
        for mirrored in (False, True):
            for part in torch.arange(len(footage), device=run.device).split(64):
                encoded, logvar = encoder(vae, footage.clips(part, mirrored=mirrored)[0])
                means.append(((encoded.float() - mean) / deviation).half())
                deviations.append(((0.5 * logvar.float()).exp() / deviation).half())
    latents = Latents(torch.cat(means), torch.cat(deviations))
    run.log(
        "latents",
        count=len(latents.means),
        deviation=latents.means[:512].float().std().item(),
        posterior=latents.deviations[:512].float().mean().item(),
    )
    return latents


def scale_of(vae: AutoencoderKLWan, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the latents' channels, ``[1, z, 1, 1, 1]``."""
    stated = (vae.config.latents_mean, vae.config.latents_std)
    mean, deviation = (torch.tensor(v, device=device).view(1, -1, 1, 1, 1) for v in stated)
    return mean, deviation
