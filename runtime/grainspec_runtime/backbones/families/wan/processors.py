"""The attention processors of diffusers that a plan can stand in for in Wan's transformers."""

from __future__ import annotations

from typing import Any

from diffusers.models.transformers.transformer_wan import WanAttnProcessor

from grainspec.diagnostics import fail
from grainspec_runtime.modulation.intercept import is_dispatching


def check_processor(layer: str, module: Any, part: str) -> None:
    """Raise GrainError if a plan cannot stand in for a layer's processor.

    G410: it is not diffusers' own. G501: diffusers is older than its attention backends.
    """
    kind = type(module.processor)
    if kind.__call__ is not WanAttnProcessor.__call__:
        message = (
            f"a plan would replace the attention of {kind.__name__}, the processor of the "
            f"{part}'s layer `{layer}`, by its own"
        )
        cure = (
            f"Set diffusers' own: `pipe.{part}.set_attn_processor(WanAttnProcessor())`, from "
            "`diffusers.models.transformers.transformer_wan`."
        )
        raise fail("G410", message, cure)
    if not is_dispatching(kind):
        message = "Wan's transformers need a newer diffusers, with attention backends"
        raise fail("G501", message, "Install it: `pip install 'diffusers>=0.36'`.")
