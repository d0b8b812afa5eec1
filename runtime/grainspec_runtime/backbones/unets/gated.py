"""The gated layers of GLIGEN in a stock UNet, over the frames of a clip.

GLIGEN (Li et al., CVPR 2023, arXiv 2301.07093) adds a layer to each transformer block, between
self-attention and cross-attention, that attends from latent tokens x to x and to objects, each a
phrase with a box: x + tanh(γ) · attention([x, objects]). diffusers has it in UNets with
``attention_type: gated``, and leaves it out of calls without objects. In Ground-A-Video (arXiv
2310.01107, "cross-frame gated attention") its keys are the latent tokens and objects of all frames.

Dimensions: F frames, E objects, S slots for objects, C width of the text, H heads, d head size, N
tokens of a frame with its objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.attention import GatedSelfAttentionDense
from diffusers.models.attention_processor import Attention as Layer
from torch import Tensor, nn

from grainspec_runtime.backbones.unets.checkpoint import UNetCheckpoint

_SLOTS = 30
"""Number of objects of a frame that GLIGEN was trained with; unused ones are its null object."""


@dataclass(frozen=True)
class GatedObjects:
    """The objects of a clip, for a UNet with gated layers.

    corners_FE4: left, top, right, bottom as shares of the frame. present_FE: whether an object is
    on a frame. phrases_EC: the pooled embeddings of their phrases.
    """

    unet: nn.Module
    corners_FE4: Tensor
    present_FE: Tensor
    phrases_EC: Tensor

    @contextmanager
    def shown(self, frames: Sequence[int], *, null: bool = False) -> Iterator[None]:
        """Show the objects of these frames to the UNet's calls inside the block, each of one pass.

        With ``null``, all are the null object, as in the unconditional pass of GLIGEN. At the end
        the UNet is restored, whatever is raised inside.
        """
        inputs = {"gligen": self._inputs(list(frames), null=null)}

        def add(unet: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            given = kwargs.get("cross_attention_kwargs") or {}
            return args, {**kwargs, "cross_attention_kwargs": {**given, **inputs}}

        layers = gated_layers(self.unet)
        before = [layer.attn.processor for layer in layers]
        hook = self.unet.register_forward_pre_hook(add, with_kwargs=True)
        try:
            for layer in layers:
                layer.attn.set_processor(_AcrossFrames())
            yield
        finally:
            hook.remove()
            for layer, processor in zip(layers, before, strict=True):
                layer.attn.set_processor(processor)

    def _inputs(self, frames: list[int], *, null: bool) -> dict[str, Tensor]:
        """Return the inputs of diffusers' position net for ``frames``, in the UNet's precision."""
        objects, width = self.phrases_EC.shape
        slots = max(_SLOTS, objects)
        like = next(self.unet.parameters())
        boxes = like.new_zeros(len(frames), slots, 4)
        masks = like.new_zeros(len(frames), slots)
        phrases = like.new_zeros(len(frames), slots, width)
        if not null:
            boxes[:, :objects] = self.corners_FE4[frames].to(like)
            masks[:, :objects] = self.present_FE[frames].to(like)
            phrases[:, :objects] = self.phrases_EC.to(like)
        return {"boxes": boxes, "masks": masks, "positive_embeddings": phrases}


class _AcrossFrames:
    """A processor whose keys are those of the whole batch, the frames of one pass."""

    def __call__(
        self,
        attn: Layer,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        frames = len(hidden_states)
        query, key, value = (  # [F, N, H * d] to [1, H, F * N, d]
            project(hidden_states)
            .flatten(0, 1)
            .unflatten(-1, (attn.heads, -1))
            .transpose(0, 1)[None]
            for project in (attn.to_q, attn.to_k, attn.to_v)
        )
        out = F.scaled_dot_product_attention(query, key, value)
        out = out[0].transpose(0, 1).flatten(1).unflatten(0, (frames, -1))
        projected: Tensor = attn.to_out[1](attn.to_out[0](out))
        return projected


def gated_layers(unet: nn.Module) -> list[Any]:
    """Return the gated layers of a UNet; none unless it was made with ``attention_type: gated``."""
    return [module for module in unet.modules() if isinstance(module, GatedSelfAttentionDense)]


@torch.no_grad()
def gated_objects(
    checkpoint: object, phrases: Sequence[str], corners_FE4: Tensor, present_FE: Tensor
) -> GatedObjects | None:
    """Return the objects of a clip for a checkpoint's gated layers; None if it has none.

    A phrase is encoded as GLIGEN was trained: the text encoder's pooled output.
    """
    if not isinstance(checkpoint, UNetCheckpoint) or not gated_layers(checkpoint.unet):
        return None
    pipe = checkpoint.pipe
    tokens = pipe.tokenizer(list(phrases), padding=True, truncation=True, return_tensors="pt").to(
        checkpoint.device
    )
    phrases_EC = pipe.text_encoder(**tokens).pooler_output
    return GatedObjects(checkpoint.unet, corners_FE4, present_FE, phrases_EC)
