"""Apply a mask plan to a diffusers pipeline of your own."""

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
    """Apply a plan to the calls of a Stable Diffusion pipeline inside the block.

    ``pipe`` is a ``StableDiffusionPipeline``, a ``StableDiffusionXLPipeline``, or one of their
    image-to-image or ControlNet pipelines, with any scheduler, LoRA or offloading. Call it with
    ``prompt=plan.target``, one image per frame of the plan, and the plan's size. With a plan of one
    frame this is text-to-image with every phrase in its region:

        with plan_applied(plan, pipe):
            images = pipe(
                plan.target,
                num_images_per_prompt=len(plan.frames),
                width=plan.width,
                height=plan.height,
            ).images

    Attention between frames and the scope of group norms follow the plan. The conditional pass of
    guidance is modulated, at the steps and timesteps of the pipeline's own scheduler. If the plan
    isolates phrases, their embeddings replace those of the same words in the prompt, in both
    encoders of SDXL. At the end the pipeline is restored, whatever is raised inside.

    Raises GrainError: G504 if the pipeline is of another kind; G404, from the pipeline's call, if
    the batch size, the image size, the number of text tokens or the prompt differs from the plan's.
    """
    for family in families():
        if family.owns(pipe):
            return family.apply(plan, pipe, backend=backend)
    names = ", ".join(family.name for family in families())
    message = f"a plan cannot be applied to {type(pipe).__name__}: its denoiser is not supported"
    raise fail("G504", message, f"Use a pipeline of {names}.")
