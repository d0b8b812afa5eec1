"""An image model's UNet with the modules of a motion adapter."""

from __future__ import annotations

from diffusers import MotionAdapter, UNet2DConditionModel, UNetMotionModel
from diffusers.utils import logging
from torch import nn


def with_motion(unet: UNet2DConditionModel, adapter: MotionAdapter) -> UNetMotionModel:
    """Return a UNet with copies of an image model's weights and an adapter's, in float32."""
    for network in (unet, adapter):
        nn.Module.float(network)
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # it warns about parts in float32 that there are not
    try:
        return UNetMotionModel.from_unet2d(unet, adapter)
    finally:
        logging.set_verbosity(verbosity)
