"""DDIM sampling with guidance, under a mask plan, with the clip kept where nothing is edited."""

from __future__ import annotations

import torch
from torch import Tensor

from grainspec.diagnostics import fail
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.load import Checkpoint
from grainspec_runtime.backbones.prompts import encode_target
from grainspec_runtime.backbones.unet import AttentionControl, installed
from grainspec_runtime.sampling.invert import Progress


@torch.inference_mode()
def sample(
    checkpoint: Checkpoint,
    trajectory: Tensor,
    plan: MaskPlan,
    control: AttentionControl,
    *,
    negative: str,
    steps: int,
    guidance: float,
    progress: Progress = lambda done, total: None,
) -> Tensor:
    """Edited latents ``[F, c, h, w]``, from the end of an inversion's ``trajectory``.

    After every step the latents outside the edited regions are put back on the trajectory, so what
    no edit names comes out as it went in. Raises GrainError (G505) if a step yields no numbers.
    """
    scheduler, unet = checkpoint.scheduler, checkpoint.unet
    scheduler.set_timesteps(steps, device=trajectory.device)
    prompts = [
        checkpoint.encode_prompt(negative),
        encode_target(checkpoint.pipe, plan, device=checkpoint.device),
    ]
    words = checkpoint.denoiser_inputs(prompts, trajectory[-1])
    edited = torch.from_numpy(plan.edited_FHW).to(trajectory.device)[:, None]
    x = trajectory[-1]
    with installed(unet, control):
        for step, t in enumerate(scheduler.timesteps):
            control.begin_step(step, steps, float(t))
            both = torch.cat([x, x]).to(checkpoint.dtype)
            plain, wanted = unet(both, t, **words, return_dict=False)[0].float().chunk(2)
            x = scheduler.step(plain + guidance * (wanted - plain), t, x).prev_sample
            if not bool(x.isfinite().all()):
                message = f"step {step + 1} of {steps} gave values that are no numbers"
                cure = "Lower `guidance`, or run in float32 with `--dtype float32`."
                raise fail("G505", message, cure)
            x = torch.where(edited, x, trajectory[-2 - step])
            progress(step + 1, steps)
    return x
