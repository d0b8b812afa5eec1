"""Pictures to look at: reconstructions of held-out clips, and samples from their captions."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler
from PIL import Image
from torch import Tensor

from grainspec_runtime.demo.video_training.flow import TextToClip
from grainspec_runtime.demo.video_training.footage import Footage
from grainspec_runtime.demo.video_training.latents import scale_of
from grainspec_runtime.demo.video_training.run import Run
from grainspec_runtime.demo.video_training.vae import round_trip
from grainspec_runtime.demo.video_training.whole_clip import decode, whole_clips

_CLIPS = 6
_FRAMES = 6
_GUIDANCE = 4.0
_STEPS = 30


@torch.no_grad()
def save_reconstructions(run: Run, vae: AutoencoderKLWan, held: Footage) -> None:
    """Write ``reconstructions.png``: every second row is a held-out clip decoded."""
    clips, _ = held.clips(torch.arange(min(_CLIPS, len(held)), device=run.device))
    with whole_clips(vae, run.options.convolution):
        decoded = partial(round_trip, vae)(clips)
    _save(run, "reconstructions", torch.stack([clips, decoded], 1).flatten(0, 1))


@torch.no_grad()
def save_samples(
    run: Run, model: TextToClip, vae: AutoencoderKLWan, ids_BT: Tensor, empty_1T: Tensor
) -> None:
    """Write ``samples.png``: a clip for each text, with guidance, and no region control."""
    o, count = run.options, len(ids_BT)
    shape = ((o.frames - 1) // o.frames_per_latent + 1, o.size // 4, o.size // 4)
    generator = torch.Generator().manual_seed(o.seed)
    latents = torch.randn((count, o.latent_channels, *shape), generator=generator).to(run.device)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=o.shift)
    scheduler.set_timesteps(_STEPS, device=run.device)
    ids = torch.cat([ids_BT, empty_1T.expand(count, -1)])
    for timestep in scheduler.timesteps:
        sigma = (timestep / 1000).expand(2 * count)
        with run.autocast():
            positive, negative = model(latents.repeat(2, 1, 1, 1, 1), sigma, ids).float().chunk(2)
        velocity = negative + _GUIDANCE * (positive - negative)
        latents = scheduler.step(velocity, timestep, latents, return_dict=False)[0]
    mean, deviation = scale_of(vae, run.device)
    with whole_clips(vae, o.convolution):
        clips = decode(vae, latents * deviation + mean)
    _save(run, "samples", clips)


def _save(run: Run, name: str, clips_B3THW: Tensor) -> None:
    """Write a few frames of every clip, one clip a row, to ``--work`` and ``--export``."""
    frames = torch.linspace(0, clips_B3THW.shape[2] - 1, _FRAMES).round().long()
    shown = (clips_B3THW[:, :, frames.unique().to(run.device)].clamp(-1, 1) + 1) * 127.5
    rows = shown.round().byte().permute(0, 3, 2, 4, 1).cpu().numpy()  # [B, H, frame, W, 3]
    sheet = rows.reshape(rows.shape[0] * rows.shape[1], -1, 3)
    picture = Image.fromarray(np.ascontiguousarray(sheet))
    for folder in filter(None, (run.work, run.options.export)):
        Path(folder).mkdir(parents=True, exist_ok=True)
        picture.save(Path(folder) / f"{name}.png")
