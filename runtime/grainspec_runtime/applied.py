"""Apply a mask plan to a diffusers pipeline of your own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from diffusers import DiffusionPipeline

from grainspec.diagnostics import fail
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.registry import families
from grainspec_runtime.modulation.layers import Attention


def plan_applied(
    plan: MaskPlan,
    pipe: DiffusionPipeline,
    *,
    backend: str = "auto",
    trust_embeds: bool = False,
) -> AbstractContextManager[Attention]:
    """Apply a plan to the calls of a Stable Diffusion, AnimateDiff or Wan pipeline in the block.

    ``pipe`` is a ``StableDiffusionPipeline``, a ``StableDiffusionXLPipeline``, or one of their
    image-to-image, inpainting or ControlNet pipelines. Call it with ``prompt=plan.target``, one
    image per frame of the plan, and the plan's size. With a plan of one frame this is text-to-image
    with every phrase in its region:

        with plan_applied(plan, pipe):
            images = pipe(
                plan.target,
                num_images_per_prompt=len(plan.frames),
                width=plan.width,
                height=plan.height,
            ).images

    Or it is an ``AnimateDiffPipeline`` or ``AnimateDiffVideoToVideoPipeline``, whose motion modules
    are left alone; or a ``WanPipeline``, ``WanImageToVideoPipeline``, ``WanVideoToVideoPipeline``
    or ``WanVACEPipeline`` of Wan 2.1 or 2.2, whose two experts both follow the plan. These make a
    clip:

        with plan_applied(plan, pipe):
            video = pipe(
                plan.target,
                num_frames=len(plan.frames),
                width=plan.width,
                height=plan.height,
            ).frames

    Attention between frames and the scope of group norms follow the plan. The conditional pass of
    guidance is modulated; without guidance, the only pass. If the plan isolates phrases, their
    embeddings replace those of the same words in the prompt, in both encoders of SDXL. With
    `unconditional empty_prompt`, those of the empty prompt replace the negative prompt's in the
    denoiser's cross-attention, unless embeddings are trusted. Wan's attention to a picture, and
    that of VACE's control blocks, is left alone. Layers and passes that are not modulated use the
    attention backend that was set (`set_attention_backend`).

    *Steps.* `until 30%` counts the steps that a call makes: an image-to-image call with
    `strength=0.5` at 50 steps makes 25, of which 8 are modulated. How strongly follows the noise
    level alone, ξ(t) = (t / T)^decay, so the same call is modulated more weakly than one from pure
    noise. t is the scheduler's timestep; with a scheduler of EDM or of flow matching, whose
    timesteps are other quantities, it is the timestep of Stable Diffusion's schedule at the same
    noise-to-signal ratio. For Wan it is the timestep of flow matching, T σ.

    *Embeddings.* The embeddings of the conditional pass are compared with those of ``plan.target``
    from the pipeline's own encoders, whether they come from ``prompt`` or ``prompt_embeds``. With
    ``trust_embeds=True`` they are taken for the target's without comparing: for weighted prompts,
    or a pipeline without text encoders.

    *The pipeline* is changed only while its denoiser runs. LoRAs, FreeU, attention slicing, fused
    projections, offloading and ``torch.compile`` may be set before the block or inside it, and stay
    set after it; ``save_pretrained`` inside saves the plain model. Processors that only save memory
    have no effect on the plan's attention, whose memory ``backend`` decides. A denoiser follows
    one plan at a time, from one thread at a time. The returned block may be entered again.

    Raises GrainError on entering: G504 if the pipeline or its denoiser is of another kind, G404 if
    its tokenizer is, or if the plan is for another kind of model, G410 for attention processors
    that compute something else (IP-Adapter), G412 for an unknown kind of scheduler, G413 if the
    denoiser already follows a plan, G550 for caches of diffusers, G551 for context parallelism.
    From the pipeline's call: G404 if the number of images or frames, their size, or the prompt
    differs from the plan's, G410, G412, G550 and G551 for what was set inside the block, G411 for
    embeddings that cannot be compared, G413 for a call by another pipeline that shares the
    denoiser, G414 for attention masks and for gradients. On leaving: G415 if the pipeline's
    denoiser was replaced inside the block. A call of which no step was modulated gives a
    RuntimeWarning (G416).
    """
    for family in families():
        if family.owns(pipe):
            return _Block(
                partial(family.apply, plan, pipe, backend=backend, trust_embeds=trust_embeds)
            )
    names = ", ".join(family.name for family in families())
    message = f"a plan cannot be applied to {type(pipe).__name__}: its denoiser is not supported"
    raise fail("G504", message, f"Use a pipeline of {names}.")


class _Block(AbstractContextManager[Attention]):
    """A context manager that can be entered again after it was left."""

    def __init__(self, enter: Callable[[], AbstractContextManager[Attention]]) -> None:
        self._enter = enter
        self._open: AbstractContextManager[Attention] | None = None

    def __enter__(self) -> Attention:
        block = self._enter()
        attention = block.__enter__()
        self._open = block
        return attention

    def __exit__(self, *raised: Any) -> bool | None:
        assert self._open is not None
        block, self._open = self._open, None
        return block.__exit__(*raised)
