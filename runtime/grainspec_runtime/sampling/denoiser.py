"""One call of the networks at a step: the UNet, with what its ControlNets add.

Dimensions: P passes, F frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from grainspec_runtime.backbones.load import Checkpoint
from grainspec_runtime.conditioning.nets import Controls


@dataclass(frozen=True)
class Denoiser:
    """A checkpoint's UNet under the clip's controls, if it has any."""

    checkpoint: Checkpoint
    controls: Controls | None = None

    def __call__(
        self, x_PFchw: Tensor, t: Tensor, words: dict[str, Any], *, step: int, steps: int
    ) -> Tensor:
        """What the UNet predicts, float32 ``[P * F, c, h, w]``, at sampling step ``step``.

        ``words`` are the keyword arguments of :meth:`Checkpoint.denoiser_inputs`.
        """
        x = x_PFchw.to(self.checkpoint.dtype)
        extra: dict[str, Any] = {}
        if self.controls is not None:
            extra = self.controls.residuals(x, t, words, step=step, steps=steps)
        output: Tensor = self.checkpoint.unet(x, t, **words, **extra, return_dict=False)[0]
        return output.float()
