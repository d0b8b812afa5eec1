"""The attention layers of Wan's transformers, by the names of their modules."""

from __future__ import annotations

from typing import Any

from grainspec_runtime.modulation.layers import AttentionLayer


def attention_layers(transformer: Any) -> dict[str, AttentionLayer]:
    """Map the name of each attention module that a plan reaches to its layer.

    These are both attentions of every block. The control blocks of VACE (``vace_blocks``) are left
    alone, as ControlNets of image models are: they bring the control video in, and their numbers
    are not those of ``attention { layers … }``.
    """
    layers = {}
    for block in range(len(transformer.blocks)):
        own, text = f"blocks.{block}.attn1", f"blocks.{block}.attn2"
        layers[own] = AttentionLayer(own, 0, "self", block)
        layers[text] = AttentionLayer(text, 0, "cross", block)
    return layers


def attentions_before(module: Any) -> int:
    """Return how many attentions a layer's processor computes ahead of that to text.

    Of image-to-video models it is one, to the tokens of a picture.
    """
    return int(getattr(module, "add_k_proj", None) is not None)
