"""FreeU (Si et al., CVPR 2024, arXiv 2309.11497): weigh a UNet's backbone against its skips.

In the first two stages of the decoder, the coarsest, half of the channels of the backbone's
features are multiplied by b, and the low frequencies of the skip connection's by s. It is that of
diffusers, by ``enable_freeu``: the first version of the paper, with one b for all pixels. Turning
it on leaves the weights alone; each block of the decoder gets four attributes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from diffusers import UNet2DConditionModel, UNetMotionModel

from grainspec.model.spec import FreeU

_FACTORS = ("s1", "s2", "b1", "b2")


@contextmanager
def freeu_enabled(unet: UNet2DConditionModel | UNetMotionModel, freeu: FreeU) -> Iterator[None]:
    """Enable FreeU inside the block; at the end the attributes of all blocks are as before.

    With factors of 1 nothing is enabled: filtering by a factor of 1 would still round.
    """
    factors = {name: getattr(freeu, name) for name in _FACTORS}
    if set(factors.values()) == {1.0}:
        yield
        return
    before = [
        (block, name, block.__dict__[name]) if name in block.__dict__ else (block, name)
        for block in unet.up_blocks
        for name in _FACTORS
    ]
    try:
        unet.enable_freeu(**factors)
        yield
    finally:
        for block, name, *value in before:
            if value:
                setattr(block, name, value[0])
            elif name in block.__dict__:
                delattr(block, name)
