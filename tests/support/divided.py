"""A program: one of two processes that compare a network's prediction, divided and not.

    python divided.py NUMBER PORT MODEL…

Prints, for each model, the largest relative difference without and with modulation.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from wan_runs import plan_for

from grainspec_runtime.backbones.registry import load_checkpoint
from grainspec_runtime.models.options import LoadOptions


def predicted(model: Path, *, divided: bool) -> list[Tensor]:
    """The predictions of both passes at the last step, which is plain, and at the first."""
    name = str(model)
    checkpoint: Any = load_checkpoint(name, Path(), LoadOptions(device="cpu", divided=divided))
    unit = checkpoint.pipe.vae_scale_factor_spatial
    # 9 tokens in each of 3 latent frames: not a multiple of two
    plan = plan_for(model, "until 50%", size=(6 * unit, 6 * unit))
    channels = checkpoint.pipe.vae.config.z_dim
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2 * len(plan.groups), channels, 6, 6, generator=generator)
    latents[len(plan.groups) :] = latents[: len(plan.groups)]
    checkpoint._inputs.begin(None)
    prompts = [checkpoint.encode_prompt("trees"), checkpoint.encode_target(plan)]
    attention = checkpoint.attention(len(plan.groups), plan.attention, plan=plan)
    found = []
    with torch.no_grad(), checkpoint.installed(attention):
        for step, timestep in ((3, 300.0), (0, 900.0)):
            attention.begin_step(step, 4, timestep)
            frames, t = range(attention.frames), torch.tensor(timestep)
            out = checkpoint.predict(latents, t, tuple(prompts), frames, step=step, steps=4)
            found.append(out)
    return found


def main() -> None:
    number, port, *models = sys.argv[1:]
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=int(number), world_size=2
    )
    for model in map(Path, models):
        plain, parts = predicted(model, divided=False), predicted(model, divided=True)
        differ = [
            float((part - whole).abs().max() / whole.abs().max())
            for part, whole in zip(parts, plain, strict=True)
        ]
        print(*differ, float((plain[0] - plain[1]).abs().max()), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
