"""A mask plan on a diffusers pipeline that the user already has."""

from __future__ import annotations

from contextlib import AbstractContextManager

from diffusers import DiffusionPipeline

from grainspec.diagnostics import fail
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.registry import families
from grainspec_runtime.modulation.layers import Attention


def plan_applied(
    plan: MaskPlan, pipe: DiffusionPipeline, *, backend: str = "auto"
) -> AbstractContextManager[Attention]:
    """Inside the block, calls of a Stable Diffusion pipeline follow a plan.

    ``pipe`` is a ``StableDiffusionPipeline``, a ``StableDiffusionXLPipeline``, or one of their kin
    that works as they do (image to image, ControlNet), with whatever scheduler, LoRA or offloading
    it has. Call it with ``prompt=plan.target``, one image per frame of the plan, and the plan's
    size; with a plan of one frame that is text-to-image, every phrase in its region:

        with plan_applied(plan, pipe):
            images = pipe(
                plan.target,
                num_images_per_prompt=len(plan.frames),
                width=plan.width,
                height=plan.height,
            ).images

    Frames attend to each other and share group norms as the plan says, and the conditional half of
    guidance is modulated, at the steps and timesteps of the pipeline's own schedule. Where the plan
    isolates phrases, their embeddings take the place of the same words in the pipeline's own, in
    both encoders of SDXL. The pipeline is as before at the end, whatever is raised inside.

    Raises GrainError: G504 for a pipeline of another kind; G404, from the call, where the batch,
    the size, the text's length or the prompt is not the plan's.
    """
    for family in families():
        if family.owns(pipe):
            return family.apply(plan, pipe, backend=backend)
    names = ", ".join(family.name for family in families())
    message = f"{type(pipe).__name__} has no denoiser that a plan can be applied to"
    raise fail("G504", message, f"Plans go on pipelines of {names}.")
