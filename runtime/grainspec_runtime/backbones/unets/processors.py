"""The attention processors of diffusers that a plan can stand in for."""

from __future__ import annotations

from diffusers.models import attention_processor
from diffusers.models.attention_processor import Attention, FusedAttnProcessor2_0

from grainspec.diagnostics import fail

_PLAIN = {
    getattr(attention_processor, name)
    for name in (
        "AttnProcessor",
        "AttnProcessor2_0",
        "AttnProcessorNPU",
        "FusedAttnProcessor2_0",
        "SlicedAttnProcessor",
        "XFormersAttnProcessor",
        "XLAFlashAttnProcessor2_0",
    )
    if hasattr(attention_processor, name)
}
"""Processors that compute softmax(Q Kᵀ / √d) V and nothing else, whatever memory they need."""


def check_processor(layer: str, module: Attention) -> None:
    """Raise GrainError (G410) if a layer's processor computes something that a plan would lose."""
    kind = type(module.processor)
    if kind in _PLAIN:
        return
    message = (
        f"a plan would replace the attention of {kind.__name__}, the processor of the UNet's layer "
        f"`{layer}`, by its own"
    )
    cure = (
        "Set diffusers' own: `pipe.unet.set_attn_processor(AttnProcessor2_0())`, from "
        "`diffusers.models.attention_processor`."
    )
    if "IPAdapter" in kind.__name__:
        cure = "Remove the adapter with `pipe.unload_ip_adapter()`."
    raise fail("G410", message, cure)


def is_fused(module: Attention) -> bool:
    """Return whether a layer's processor uses the projections of ``fuse_qkv_projections``."""
    return isinstance(module.processor, FusedAttnProcessor2_0)
