"""Compute the attention of a stock UNet in another way inside a block.

Dimensions: P passes, F frames, N tokens of a frame, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from diffusers import UNet2DConditionModel, UNetMotionModel
from diffusers.models.attention_processor import Attention as Layer
from torch import Tensor

from grainspec.diagnostics import fail
from grainspec_runtime.backbones.unets.layers import attention_layers
from grainspec_runtime.backbones.unets.norms import ClipNorms
from grainspec_runtime.backbones.unets.processors import check_processor, is_fused
from grainspec_runtime.modulation.layers import Attention, AttentionLayer


class _PlannedProcessor:
    """A diffusers attention processor that delegates to an :class:`Attention`."""

    def __init__(self, attention: Attention, layer: AttentionLayer) -> None:
        self.layer = layer
        self.fused = False  # whether the projections are those of `fuse_qkv_projections`
        self.attend = (
            attention.cross_attention if layer.kind == "cross" else attention.self_attention
        )

    def __call__(
        self,
        attn: Layer,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        if attention_mask is not None:
            message = f"the layer {self.layer.name} receives an attention mask"
            raise fail("G414", message, "Call the UNet without attention masks.")
        context = encoder_hidden_states
        if context is not None and attn.norm_cross:
            context = attn.norm_encoder_hidden_states(context)
        query, key, value = (
            projected.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for projected in self._projections(attn, hidden_states, context)
        )
        out = self.attend(self.layer, query, key, value).transpose(1, 2).flatten(2)
        projected_out: Tensor = attn.to_out[1](attn.to_out[0](out))
        return projected_out

    def _projections(
        self, attn: Layer, hidden: Tensor, context: Tensor | None
    ) -> tuple[Tensor, ...]:
        if self.fused and context is None:
            return tuple(attn.to_qkv(hidden).chunk(3, dim=-1))
        context = hidden if context is None else context
        if self.fused:
            return (attn.to_q(hidden), *attn.to_kv(context).chunk(2, dim=-1))
        return attn.to_q(hidden), attn.to_k(context), attn.to_v(context)


class Installation:
    """An attention for a UNet, to be put in place and taken out any number of times.

    Raises GrainError (G504) if the UNet has attention layers that a plan does not reach.
    """

    def __init__(self, unet: UNet2DConditionModel | UNetMotionModel, attention: Attention) -> None:
        self._places: list[tuple[str, Layer, _PlannedProcessor]] = [
            (name, unet.get_submodule(name), _PlannedProcessor(attention, layer))
            for name, layer in attention_layers(unet).items()
        ]
        self._attention = attention
        self._norms = ClipNorms(unet, attention)

    def check(self) -> None:
        """Raise GrainError (G410) if the UNet's processors compute what would be lost."""
        for name, module, _ in self._places:
            check_processor(name, module)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Compute all attention with the given one inside the block, and the norms as it says.

        At the end each layer has the processor that it had before, whatever is raised inside.
        """
        before = [module.processor for _, module, _ in self._places]
        try:
            for _, module, planned in self._places:
                planned.fused = is_fused(module)
                module.set_processor(planned)
            with self._norm_scope():
                yield
        finally:
            for (_, module, _), processor in zip(self._places, before, strict=True):
                module.set_processor(processor)

    def _norm_scope(self) -> AbstractContextManager[None]:
        return self._norms.in_place() if self._attention.norm == "clip" else nullcontext()


def installed(
    unet: UNet2DConditionModel | UNetMotionModel, attention: Attention
) -> AbstractContextManager[None]:
    """Compute all attention of ``unet`` with ``attention`` inside the block.

    ``attention.norm`` sets the scope of group norms. At the end the UNet's own processors and norms
    are restored, whatever is raised inside.
    """
    return Installation(unet, attention).in_place()
