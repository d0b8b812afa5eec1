"""Check that a plan can be applied to a pipeline of the user, before it is called."""

from __future__ import annotations

from typing import Any

from diffusers import DiffusionPipeline, UNet2DConditionModel

from grainspec.diagnostics import fail
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.families.sd_unet.target_words import can_encode
from grainspec_runtime.models.tokenize import token_spans

_NEEDED = ("unet", "scheduler", "tokenizer", "encode_prompt", "do_classifier_free_guidance")
_COMPILE = "Compile the plan for this model, with its own tokenizer."


def unet_of(pipe: DiffusionPipeline) -> UNet2DConditionModel:
    """Return a pipeline's UNet; raises GrainError (G504) if a plan cannot be applied to it."""
    name = type(pipe).__name__
    cure = (
        "Use StableDiffusionPipeline, StableDiffusionXLPipeline, or their image-to-image or "
        "ControlNet pipelines."
    )
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
    if not isinstance(unet, UNet2DConditionModel):
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
    if not can_encode(pipe) and plan.attention.phrases == "isolated":
        message = "the plan isolates phrases, but the pipeline has no text encoder to encode them"
        cure = "Load one, or compile the plan with `attention { phrases in_context }`."
        raise fail("G404", message, cure)
    for name in ("tokenizer", "tokenizer_2"):
        tokenizer = getattr(pipe, name, None)
        if tokenizer is not None:
            _check_tokens(plan, tokenizer, name)


def _check_tokens(plan: MaskPlan, tokenizer: Any, name: str) -> None:
    length = plan.words_ET.shape[1]
    if tokenizer.model_max_length != length:
        message = (
            f"the plan is for {length} text tokens, "
            f"but the pipeline's {name} yields {tokenizer.model_max_length}"
        )
        raise fail("G404", message, _COMPILE)
    if not tokenizer.is_fast:
        return  # a slow tokenizer does not return character spans
    places = token_spans(tokenizer, plan.target)
    for edit in plan.edits:
        for (start, end), tokens in zip(edit.spans, edit.tokens, strict=True):
            theirs = [i for i, (a, b) in enumerate(places) if a < b and a < end and start < b]
            if theirs != list(tokens):
                message = (
                    f"“{edit.phrase}” is tokens {list(tokens)} in the plan, "
                    f"but {theirs} in the pipeline's {name}"
                )
                raise fail("G404", message, _COMPILE)
