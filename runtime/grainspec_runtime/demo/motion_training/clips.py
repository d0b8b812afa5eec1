"""The training data: clips of the demo world as latents of the image model's VAE, with captions."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from grainspec_runtime.demo import world
from grainspec_runtime.demo.clips import random_clip
from grainspec_runtime.demo.render import render
from grainspec_runtime.demo.training.trainer import Trainer, to_unit
from grainspec_runtime.models.locate import DEMO_FOLDER

CAPTIONS = 4
_CHUNK = 50
_APART = 100_000_000
"""How far the seeds of two runs are apart, so that no two values of ``--seed`` share a clip."""
_SIZE = 96


@dataclass(frozen=True)
class ClipLatents:
    """``n`` clips: latents float16 ``[n, F, c, h, w]``, and each clip's alternative captions."""

    latents: Tensor
    captions: list[list[str]]

    def save(self, folder: Path) -> None:
        """Write the clips to a new folder, completely or not at all."""
        made = folder.with_suffix(".part")
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        np.save(made / "latents.npy", self.latents.cpu().numpy(), allow_pickle=False)
        (made / "captions.json").write_text(json.dumps(self.captions))
        made.rename(folder)

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> ClipLatents:
        """Read clips that :meth:`save` wrote, to a device."""
        latents = torch.from_numpy(np.load(folder / "latents.npy", allow_pickle=False))
        return cls(latents.to(device), json.loads((folder / "captions.json").read_text()))


def clip_latents(trainer: Trainer) -> ClipLatents:
    """Load the clips of a training run, or render and encode them."""
    o = trainer.options
    folder = trainer.work / f"motion-clips-{o.clips}x{o.frames}"
    if folder.exists():
        return ClipLatents.load(folder, trainer.device)
    vae = AutoencoderKL.from_pretrained(DEMO_FOLDER / "vae", use_safetensors=True)
    vae = vae.float().eval().requires_grad_(False).to(trainer.device)
    latents, captions = [], []
    for frames_NFHW3, words in render_clips(
        o.clips, o.frames, seed=o.seed * _APART, workers=o.workers
    ):
        latents += [_encoded(trainer, vae, frames_FHW3) for frames_FHW3 in frames_NFHW3]
        captions += words
    clips = ClipLatents(torch.stack(latents), captions)
    clips.save(folder)
    trainer.log("clips", count=len(captions), frames=o.frames)
    return clips


def render_clips(
    count: int, frames: int, *, seed: int, workers: int
) -> Iterator[tuple[np.ndarray, list[list[str]]]]:
    """Render random clips in chunks, uint8 ``[n, F, H, W, 3]``, with captions, in order.

    Clip ``i`` depends only on ``seed + i``.
    """
    starts = range(seed, seed + count, _CHUNK)
    chunks = [range(start, min(start + _CHUNK, seed + count)) for start in starts]
    job = partial(_render_chunk, frames=frames)
    if workers <= 1:
        yield from map(job, chunks)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(job, chunks)


def _render_chunk(seeds: range, *, frames: int) -> tuple[np.ndarray, list[list[str]]]:
    clips = np.empty((len(seeds), frames, _SIZE, _SIZE, 3), np.uint8)
    captions = []
    for row, seed in enumerate(seeds):
        rng = random.Random(seed)
        scenes = moving_scenes(rng, frames)
        for frame, scene in enumerate(scenes):
            clips[row, frame] = render(scene, _SIZE, parts=False)[0]
        captions.append([world.random_caption(scenes[0], rng) for _ in range(CAPTIONS)])
    return clips, captions


def moving_scenes(rng: random.Random, frames: int) -> list[world.Scene]:
    """Draw the scenes of a clip: in one of five, figures jog in place as in the examples' clips."""
    if rng.random() < 0.2:
        scene = world.random_scene(rng)
        return [world.advance(scene, frame) for frame in range(frames)]
    return random_clip(rng, frames=frames).scenes()


@torch.inference_mode()
def _encoded(trainer: Trainer, vae: AutoencoderKL, frames_FHW3: np.ndarray) -> Tensor:
    """Encode a clip as the runtime does, to the posterior's means: float16 ``[F, c, h, w]``."""
    x = torch.from_numpy(frames_FHW3).to(trainer.device).permute(0, 3, 1, 2).contiguous()
    with trainer.autocast():
        mean: Tensor = vae.encode(to_unit(x)).latent_dist.mean
    return mean.half()
