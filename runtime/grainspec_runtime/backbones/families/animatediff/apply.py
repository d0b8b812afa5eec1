"""Apply a mask plan to an AnimateDiff pipeline of the user.

:mod:`grainspec_runtime.pipelines.following` says how.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from diffusers import DiffusionPipeline, UNetMotionModel
from torch import Tensor

from grainspec.diagnostics import fail
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.unets.apply import UNetCalls, applied
from grainspec_runtime.backbones.unets.check_pipeline import unet_of
from grainspec_runtime.modulation.folded import FoldedAttention

_PIPELINES = (
    "Use AnimateDiffPipeline, AnimateDiffVideoToVideoPipeline, or their ControlNet pipelines."
)


def plan_applied(
    plan: MaskPlan, pipe: DiffusionPipeline, *, backend: str = "auto", trust_embeds: bool = False
) -> AbstractContextManager[FoldedAttention]:
    """Apply a plan to an AnimateDiff pipeline; see :func:`grainspec_runtime.plan_applied`."""
    unet = unet_of(pipe, UNetMotionModel, _PIPELINES)
    return applied(plan, pipe, unet, _ClipCalls, backend=backend, trust_embeds=trust_embeds)


class _ClipCalls(UNetCalls):
    """Calls whose sample has a clip for each pass: ``[P, c, F, h, w]``."""

    def _is_guided(self, sample: Tensor) -> bool:
        return len(sample) > 1

    def _check_frames(self, sample: Tensor, passes: int) -> None:
        frames = self._attention.frames
        made, clips = sample.shape[2], len(sample) / passes
        if made == frames and clips == 1:
            return
        counted = f"{frames} frame{'s' * (frames > 1)}"
        message = f"the plan is for a clip of {counted}, but the pipeline makes {made}"
        if clips != 1:
            message = f"the plan is for one clip, but the pipeline makes {clips:g}"
        cure = (
            f"Call it with one prompt, `prompt=plan.target`, and {counted}: `num_frames={frames}`, "
            f"or a `video` of {frames}."
        )
        raise fail("G404", message, cure)
