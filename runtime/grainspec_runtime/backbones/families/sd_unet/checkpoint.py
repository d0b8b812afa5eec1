"""A loaded Stable Diffusion checkpoint (1.x, 2.x or XL), as a stock pipeline.

Dimensions: P passes, F frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from grainspec_runtime.backbones.unets.checkpoint import UNetCheckpoint
from grainspec_runtime.backbones.unets.prompts import apart, repeated
from grainspec_runtime.conditioning.nets import Controls


@dataclass(frozen=True)
class StableDiffusion(UNetCheckpoint):
    """A frozen Stable Diffusion checkpoint: its UNet has the frames of all passes in its batch."""

    def predict(
        self,
        x_PFchw: Tensor,
        t: Tensor,
        conditioning: dict[str, Any],
        frames: Sequence[int],
        *,
        step: int,
        steps: int,
        controls: Controls | None = None,
    ) -> Tensor:
        """Run the UNet on ``frames`` of the clip: float32 ``[P * F, c, h, w]``."""
        x = x_PFchw.to(self.dtype)
        inputs, for_controls = apart(repeated(conditioning, len(frames)))
        residuals: dict[str, Any] = {}
        if controls is not None:
            residuals = controls.residuals(x, t, for_controls, frames, step=step, steps=steps)
        output: Tensor = self.unet(x, t, **inputs, **residuals, return_dict=False)[0]
        return output.float()
