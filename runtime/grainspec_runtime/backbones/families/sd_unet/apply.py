"""Apply a mask plan to a diffusers pipeline of the user with an image UNet.

:mod:`grainspec_runtime.pipelines.following` says how.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from diffusers import DiffusionPipeline, UNet2DConditionModel
from torch import Tensor

from grainspec.diagnostics import fail
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.unets.apply import UNetCalls, applied
from grainspec_runtime.backbones.unets.check_pipeline import unet_of
from grainspec_runtime.modulation.folded import FoldedAttention

_PIPELINES = (
    "Use StableDiffusionPipeline, StableDiffusionXLPipeline, or their image-to-image or "
    "ControlNet pipelines."
)


def plan_applied(
    plan: MaskPlan, pipe: DiffusionPipeline, *, backend: str = "auto", trust_embeds: bool = False
) -> AbstractContextManager[FoldedAttention]:
    """Apply a plan to a pipeline with an image UNet; see :func:`grainspec_runtime.plan_applied`."""
    unet = unet_of(pipe, UNet2DConditionModel, _PIPELINES)
    return applied(plan, pipe, unet, _ImageCalls, backend=backend, trust_embeds=trust_embeds)


class _ImageCalls(UNetCalls):
    """Calls whose sample has the images of all passes in its batch: ``[P * F, c, h, w]``."""

    def _is_guided(self, sample: Tensor) -> bool:
        return len(sample) > self._attention.frames

    def _check_frames(self, sample: Tensor, passes: int) -> None:
        frames = self._attention.frames
        if len(sample) != passes * frames:
            made = len(sample) / passes
            counted = f"{frames} frame{'s' * (frames > 1)}"
            message = f"the plan is for {counted}, but the pipeline makes {made:g}"
            cure = (
                f"Call it with one prompt, `prompt=plan.target, num_images_per_prompt={frames}`, "
                "and as a pipeline that has one unconditional and one conditional pass. Each "
                "prompt or embedding of a list makes `num_images_per_prompt` images."
            )
            raise fail("G404", message, cure)
