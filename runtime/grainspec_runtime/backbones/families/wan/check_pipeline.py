"""Check that a plan can be applied to a pipeline of the user, before it is called."""

from __future__ import annotations

from typing import Any

from grainspec.diagnostics import fail
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.families.wan.configs import EXPERTS
from grainspec_runtime.backbones.families.wan.describe import ModelTokens
from grainspec_runtime.backbones.families.wan.target_words import can_encode
from grainspec_runtime.pipelines.check_words import (
    check_can_isolate,
    check_length,
    check_places,
)
from grainspec_runtime.schedules.noise_levels import kind_of_timesteps

PIPELINES = (
    "WanPipeline",
    "WanImageToVideoPipeline",
    "WanVideoToVideoPipeline",
    "WanVACEPipeline",
)
"""Pipelines that run the conditional pass before the unconditional one, each by itself."""

_TRANSFORMERS = {"WanTransformer3DModel", "WanVACETransformer3DModel"}
_COMPILE = "Compile the plan for this model, with its own tokenizer."


def experts_of(pipe: Any) -> dict[str, Any]:
    """Return the transformers of a pipeline by name, as they are without ``torch.compile``.

    One that is both experts is there once.

    Raises GrainError (G504) if a plan cannot be applied to it.
    """
    name = type(pipe).__name__
    cure = f"Use {', '.join(PIPELINES[:-1])} or {PIPELINES[-1]}."
    if not {kind.__name__ for kind in type(pipe).__mro__} & set(PIPELINES):
        message = f"a plan cannot be applied to {name}: the order of its passes is not known"
        raise fail("G504", message, cure)
    experts = {part: getattr(pipe, part, None) for part in EXPERTS}
    unwrapped: dict[str, Any] = {}
    for part, wrapped in experts.items():
        expert = getattr(wrapped, "_orig_mod", wrapped)  # as torch.compile wraps it
        if expert is not None and not any(expert is known for known in unwrapped.values()):
            unwrapped[part] = expert
    for expert in unwrapped.values():
        if not {kind.__name__ for kind in type(expert).__mro__} & _TRANSFORMERS:
            message = f"a plan cannot be applied to {name}: it has a {type(expert).__name__}"
            raise fail("G504", message, cure)
    return unwrapped


def check_plan(plan: MaskPlan, pipe: Any, experts: dict[str, Any]) -> None:
    """Raise GrainError if a plan is for another kind of model, or of noise schedule.

    G404: the plan; G412: the pipeline's scheduler.
    """
    if plan.noise != "flow":
        message = (
            "the plan is for a model with DDPM's noise levels, but the pipeline's transformer is "
            "trained by flow matching"
        )
        raise fail("G404", message, _COMPILE)
    if kind_of_timesteps(pipe.scheduler) != "flow":
        kind = type(pipe.scheduler).__name__
        message = f"the timesteps of the pipeline's {kind} are no noise levels of flow matching"
        cure = (
            "Use the scheduler of the checkpoint, or another one with `use_flow_sigmas=True` or "
            "`FlowMatch` in its name."
        )
        raise fail("G412", message, cure)
    if plan.attention.frames != "full":
        message = (
            f"the plan's attention is restricted to `frames {plan.attention.frames}`, but Wan's "
            "transformers are trained to attend to the whole clip"
        )
        raise fail("G404", message, "Compile the plan with `attention { frames full }`.")
    blocks = min(len(expert.blocks) for expert in experts.values())
    layers = plan.attention.layers
    if not isinstance(layers, str) and max(layers) >= blocks:
        message = (
            f"the plan modulates the transformer block {max(layers)}, "
            f"but the pipeline's transformer has {blocks}"
        )
        cure = f"Compile the plan with `attention {{ layers 0..{blocks - 1} }}`."
        raise fail("G404", message, cure)


def check_words(plan: MaskPlan, pipe: Any) -> None:
    """Raise GrainError (G404) if the pipeline's tokenizer gives the target other tokens."""
    check_can_isolate(plan, can_encode=can_encode(pipe))
    tokenizer = getattr(pipe, "tokenizer", None)
    if tokenizer is None or not tokenizer.is_fast:
        return  # a slow tokenizer does not return character spans
    places = ModelTokens(tokenizer).spans(plan.target)
    check_length(plan, len(places), "tokenizer", _COMPILE)
    check_places(plan, places, "tokenizer", _COMPILE)
