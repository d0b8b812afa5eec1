"""Check that a plan can be applied to a pipeline of the user, before it is called."""

from __future__ import annotations

from typing import Any

from diffusers import DiffusionPipeline
from torch import nn

from grainspec.diagnostics import fail
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.unets.target_words import can_encode
from grainspec_runtime.models.tokenize import token_spans
from grainspec_runtime.pipelines.check_words import (
    check_can_isolate,
    check_length,
    check_places,
)

_NEEDED = ("unet", "scheduler", "tokenizer", "encode_prompt", "do_classifier_free_guidance")
_COMPILE = "Compile the plan for this model, with its own tokenizer."


def unet_of(pipe: DiffusionPipeline, kind: type[nn.Module], cure: str) -> Any:
    """Return a pipeline's UNet of a ``kind``.

    Raises GrainError (G504), with ``cure``, if a plan cannot be applied to it.
    """
    name = type(pipe).__name__
    # properties such as `do_classifier_free_guidance` have no value before the first call
    missing = [name for name in _NEEDED if not (hasattr(pipe, name) or hasattr(type(pipe), name))]
    if missing:
        message = f"a plan cannot be applied to {name}: it has no `{missing[0]}`"
        raise fail("G504", message, cure)
    if hasattr(type(pipe), "do_perturbed_attention_guidance"):
        message = (
            f"a plan cannot be applied to {name}: it has a third pass, for perturbed attention"
        )
        raise fail("G504", message, cure)
    unet = getattr(pipe.unet, "_orig_mod", pipe.unet)  # as torch.compile wraps it
    if not isinstance(unet, kind):
        message = f"a plan cannot be applied to {name}: its denoiser is a {type(unet).__name__}"
        raise fail("G504", message, cure)
    return unet


def check_words(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    """Raise GrainError (G404) if a tokenizer of the pipeline gives the target other tokens.

    SDXL's refiner has only the second tokenizer and text encoder. So is a plan for a model that is
    trained by flow matching, whose noise levels are others.
    """
    if plan.noise != "ddpm":
        message = "the plan is for a flow-matching model, but the pipeline's UNet is none"
        raise fail("G404", message, _COMPILE)
    check_can_isolate(plan, can_encode=can_encode(pipe))
    for name in ("tokenizer", "tokenizer_2"):
        tokenizer = getattr(pipe, name, None)
        if tokenizer is not None:
            _check_tokens(plan, tokenizer, name)


def _check_tokens(plan: MaskPlan, tokenizer: Any, name: str) -> None:
    check_length(plan, tokenizer.model_max_length, name, _COMPILE)
    if tokenizer.is_fast:  # a slow tokenizer does not return character spans
        check_places(plan, token_spans(tokenizer, plan.target), name, _COMPILE)
