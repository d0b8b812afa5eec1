"""The attention layers of a stock ``UNet2DConditionModel``, by the names of their modules."""

from __future__ import annotations

import re

from diffusers import UNet2DConditionModel

from grainspec_runtime.modulation.layers import AttentionLayer

_PLACE = re.compile(r"(down_blocks|up_blocks)\.(\d+)\.|(mid_block)\.")


def attention_layers(unet: UNet2DConditionModel) -> dict[str, AttentionLayer]:
    """Map the name of each processor in ``unet.attn_processors`` to its attention layer.

    Levels are numbered from 0, the finest. Down block ``i`` is at level ``i``, the middle block at
    the coarsest level, and up block ``i`` at the coarsest level minus ``i``.
    """
    coarsest = len(unet.config.block_out_channels) - 1
    return {name: _layer(name, coarsest) for name in unet.attn_processors}


def _layer(processor: str, coarsest: int) -> AttentionLayer:
    place = _PLACE.match(processor)
    assert place is not None, processor  # diffusers' UNet has these three kinds of blocks
    if place[3]:
        level = coarsest
    else:
        level = int(place[2]) if place[1] == "down_blocks" else coarsest - int(place[2])
    kind = "cross" if ".attn2." in processor else "self"
    return AttentionLayer(processor.removesuffix(".processor"), level, kind)  # type: ignore[arg-type]
