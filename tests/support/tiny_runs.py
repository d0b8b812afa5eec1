"""Plans for tiny models, and the same sampling run by the editor's road and by diffusers'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, DiffusionPipeline
from torch import Tensor

from grainspec import parse
from grainspec.plan.compile import compile_plan
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.layout import Layout
from grainspec_runtime.backbones.families.sd_unet.checkpoint import StableDiffusion
from grainspec_runtime.backbones.registry import describe, load_checkpoint
from grainspec_runtime.backbones.unets.norms import norm_scope
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.sample import sample
from grainspec_runtime.schedules.ddim import solver

FRAMES, STEPS = 2, 4
TARGET = "a green robot and a yellow bear on grass"


def plan_for(model: Path, settings: str = "", frames: int = FRAMES, size: int = 64) -> MaskPlan:
    spec = parse(
        f'grain 1 video "c" model "{model}" target "{TARGET}" region left = all region right = all '
        'edit left -> "green robot" edit right -> "yellow bear" '
        f"attention {{ {settings} }}"
    )
    masks = {name: np.zeros((frames, size, size), bool) for name in ("left", "right")}
    masks["left"][:, :, : size // 2], masks["right"][:, :, size // 2 :] = True, True
    return compile_plan(spec, Layout.of(masks), describe(str(model), Path())).plan


def loaded(model: Path, **settings: Any) -> StableDiffusion:
    options = LoadOptions(**{"device": "cpu", **settings})
    checkpoint = load_checkpoint(str(model), Path(), options)
    assert isinstance(checkpoint, StableDiffusion)
    return checkpoint


def stock(model: Path) -> DiffusionPipeline:
    """diffusers' pipeline for this folder, on the schedule that edits use."""
    pipe = DiffusionPipeline.from_pretrained(model)
    pipe.scheduler = DDIMScheduler.from_config(
        pipe.scheduler.config,
        timestep_spacing="leading",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def call(pipe: DiffusionPipeline, **changes: Any) -> Tensor:
    """Two steps of a pipeline with the target; ``changes`` are other arguments of the call."""
    settings = {
        "prompt": TARGET,
        "latents": noise(FRAMES),
        "num_images_per_prompt": FRAMES,
        "num_inference_steps": 2,
        "height": 64,
        "width": 64,
        "output_type": "latent",
    }
    return pipe(**(settings | changes)).images


def noise(frames: int = FRAMES, size: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(frames, 4, size // 8, size // 8, generator=generator)


def sampled(
    checkpoint: StableDiffusion,
    plan: MaskPlan,
    start: Tensor,
    *,
    negative: str = "",
    guidance: float = 5,
) -> Tensor:
    trajectory = torch.cat([torch.zeros_like(start).expand(STEPS, *start.shape), start[None]])
    control = FoldedAttention(
        len(plan.frames),
        plan=plan,
        scope=plan.attention.frames,
        norm=norm_scope(plan.attention.norm, plan.backbone),
        device=start.device,
    )
    scheduler = solver(checkpoint.scheduler, "ddim")
    scheduler.set_timesteps(STEPS)
    prompts = [
        checkpoint.encode_prompt(negative),
        checkpoint.encode_target(plan),
    ]
    return sample(
        Denoiser(checkpoint),
        trajectory,
        control,
        prompts,
        scheduler=scheduler,
        guidance=guidance,
        edited_F1hw=torch.from_numpy(plan.edited_FHW)[:, None].float(),
    )
