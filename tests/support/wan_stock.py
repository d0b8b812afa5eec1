"""Checkpoints of Wan, and diffusers' own pipelines to compare them with.

Dimensions: P passes, F latent frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from PIL import Image
from torch import Tensor
from wan import stand_in_for_ftfy

from grainspec_runtime.backbones.families.wan.checkpoint import Wan
from grainspec_runtime.backbones.registry import load_checkpoint
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.models.options import LoadOptions

FRAMES, WIDTH, HEIGHT, STEPS = 9, 64, 32, 3
TARGET, NEGATIVE = "a red robot on grass", "blurry rain"


def loaded(folder: Path, **options: Any) -> Wan:
    checkpoint = load_checkpoint(str(folder), Path(), LoadOptions(**{"device": "cpu", **options}))
    assert isinstance(checkpoint, Wan)
    return checkpoint


def clip(frames: int = FRAMES, seed: int = 0) -> Frames:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (frames, HEIGHT, WIDTH, 3), dtype=np.uint8)


def images(frames: Frames) -> list[Image.Image]:
    return [Image.fromarray(frame) for frame in frames]


@dataclass
class Calls:
    """What the transformers of a pipeline received and gave, in order."""

    received: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    by: list[str] = field(default_factory=list)

    def watch(self, pipe: Any) -> None:
        for name in ("transformer", "transformer_2"):
            network = getattr(pipe, name, None)
            if network is not None:
                network.register_forward_hook(self._hook(name), with_kwargs=True)

    def _hook(self, name: str) -> Any:
        def hook(module: Any, args: Any, given: dict[str, Any], output: Any) -> None:
            self.received.append(given)
            self.outputs.append(output[0].clone())
            self.by.append(name)

        return hook


def stock(folder: Path, **options: Any) -> tuple[Any, Calls]:
    """diffusers' own pipeline, and the calls of its transformers."""
    stand_in_for_ftfy()
    pipe: Any = DiffusionPipeline.from_pretrained(folder, **options)
    pipe.set_progress_bar_config(disable=True)
    calls = Calls()
    calls.watch(pipe)
    return pipe, calls


def run_stock(pipe: Any, **more: Any) -> Any:
    return pipe(
        prompt=TARGET,
        negative_prompt=NEGATIVE,
        height=HEIGHT,
        width=WIDTH,
        num_frames=FRAMES,
        num_inference_steps=STEPS,
        guidance_scale=5.0,
        generator=torch.Generator().manual_seed(0),
        output_type="latent",
        **more,
    ).frames


def embeds_of(pipe: Any, text: str) -> Tensor:
    with torch.no_grad():
        return pipe.encode_prompt(text, do_classifier_free_guidance=False, max_sequence_length=512)[
            0
        ]


def predicted(checkpoint: Wan, x_Fchw: Tensor, t: Tensor, **more: Any) -> Tensor:
    """The unconditional and the conditional prediction, ``[2 * F, c, h, w]``."""
    prompts = [checkpoint.encode_prompt(text) for text in (NEGATIVE, TARGET)]
    conditioning = checkpoint.condition(prompts, x_Fchw)
    frames = more.pop("frames", range(len(x_Fchw)))
    settings = {"step": 0, "steps": STEPS, **more}
    with torch.no_grad():
        return checkpoint.predict(torch.cat([x_Fchw] * 2), t, conditioning, frames, **settings)


def assert_same_calls(checkpoint: Wan, calls: Calls, **more: Any) -> None:
    """Every step's predictions are bit-identical to those of the stock pipeline."""
    channels = checkpoint.pipe.vae.config.z_dim
    assert len(calls.outputs) == 2 * STEPS
    for step in range(STEPS):
        given = calls.received[2 * step]
        x = given["hidden_states"][0, :channels].transpose(0, 1).float()
        t = checkpoint.pipe.scheduler.timesteps[step]
        out = predicted(checkpoint, x, t, step=step, **more)
        for index, call in enumerate((2 * step + 1, 2 * step)):  # the conditional one comes first
            expected = calls.outputs[call][0].transpose(0, 1).float()
            assert torch.equal(out[index * len(x) :][: len(x)], expected), (step, index)


def with_timesteps(checkpoint: Wan) -> Wan:
    checkpoint.pipe.scheduler.set_timesteps(STEPS)
    return checkpoint


def half_mask(frames: int = FRAMES) -> Frames:
    """White, to be edited, in a half of each frame."""
    mask = np.zeros((frames, HEIGHT, WIDTH, 3), np.uint8)
    mask[:, :, WIDTH // 2 :] = 255
    return mask
