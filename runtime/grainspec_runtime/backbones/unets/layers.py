"""The attention layers of a stock UNet, by the names of their modules.

The layers of motion modules, which attend along time at one place of the frame, are none of them:
they stay the model's own. Nor are the gated layers of GLIGEN, which attend to objects as well and
run only in calls with objects (:mod:`grainspec_runtime.backbones.unets.gated`).
"""

from __future__ import annotations

import re

from diffusers import UNet2DConditionModel, UNetMotionModel
from diffusers.models.attention_processor import Attention

from grainspec.diagnostics import fail
from grainspec_runtime.modulation.layers import AttentionLayer

_PLACE = re.compile(
    r"(?:(?P<side>down_blocks|up_blocks)\.(?P<block>\d+)|mid_block)"
    r"\.attentions\.\d+\.transformer_blocks\.\d+\.attn[12]"
)
_APART = (".motion_modules.", ".fuser.")


def attention_layers(unet: UNet2DConditionModel | UNetMotionModel) -> dict[str, AttentionLayer]:
    """Map the name of each attention module of a UNet to its layer.

    Levels are numbered from 0, the finest. Down block ``i`` is at level ``i``, the middle block at
    the coarsest level, and up block ``i`` at the coarsest level minus ``i``. A layer attends to
    text (``cross``) if its keys are projected from text, whatever its name.

    Raises GrainError (G504) for attention elsewhere than in the transformer blocks of Stable
    Diffusion: in residual blocks, or over added keys.
    """
    coarsest = len(unet.config.block_out_channels) - 1
    return {
        name: _layer(name, module, coarsest)
        for name, module in unet.named_modules()
        if isinstance(module, Attention) and not any(part in name for part in _APART)
    }


def _layer(name: str, module: Attention, coarsest: int) -> AttentionLayer:
    place = _PLACE.fullmatch(name)
    if place is None:
        message = f"a plan does not reach the attention of the UNet's layer `{name}`"
        cure = "Use a UNet with the blocks of Stable Diffusion 1.x, 2.x or XL."
        raise fail("G504", message, cure)
    level = coarsest
    if place["side"]:
        block = int(place["block"])
        level = block if place["side"] == "down_blocks" else coarsest - block
    return AttentionLayer(name, level, "cross" if module.is_cross_attention else "self")
