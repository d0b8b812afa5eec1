"""Install an attention in a stock ``UNet2DConditionModel``, and remove it again.

Dimensions: P passes, F frames, N tokens of a frame, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention as Layer
from torch import Tensor

from grainspec_runtime.backbones.families.sd_unet.layers import attention_layers
from grainspec_runtime.backbones.families.sd_unet.norms import norms_over_clip
from grainspec_runtime.modulation.layers import Attention, AttentionLayer


class _PlannedProcessor:
    """A diffusers attention processor that delegates to an :class:`Attention`."""

    def __init__(self, attention: Attention, layer: AttentionLayer) -> None:
        self.layer = layer
        self.attend = (
            attention.cross_attention if layer.kind == "cross" else attention.self_attention
        )

    def __call__(
        self,
        attn: Layer,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        if encoder_hidden_states is not None and attn.norm_cross:
            context = attn.norm_encoder_hidden_states(context)
        query, key, value = (
            projected.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for projected in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        out = self.attend(self.layer, query, key, value).transpose(1, 2).flatten(2)
        projected_out: Tensor = attn.to_out[1](attn.to_out[0](out))
        return projected_out


@contextmanager
def installed(unet: UNet2DConditionModel, attention: Attention) -> Iterator[None]:
    """Compute all attention of ``unet`` with ``attention`` inside the block.

    ``attention.norm`` sets the scope of group norms. At the end the UNet's own processors and norms
    are restored, whatever is raised inside.
    """
    before = unet.attn_processors
    planned = {
        name: _PlannedProcessor(attention, layer) for name, layer in attention_layers(unet).items()
    }
    try:
        unet.set_attn_processor(dict(planned))
        with ExitStack() as stack:
            if attention.norm == "clip":
                stack.enter_context(norms_over_clip(unet, attention))
            yield
    finally:
        unet.set_attn_processor(dict(before))
