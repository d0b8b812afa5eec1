"""A loaded checkpoint with motion modules, as a stock pipeline.

Dimensions: P passes, F frames, c channels, h rows and w columns of latents, T text tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from grainspec.model.spec import Modulation
from grainspec_runtime.backbones.families.animatediff.memory import MotionMemory
from grainspec_runtime.backbones.unets.checkpoint import UNetCheckpoint
from grainspec_runtime.backbones.unets.prompts import apart, repeated
from grainspec_runtime.conditioning.nets import Controls
from grainspec_runtime.models.fingerprint import file_facts


@dataclass(frozen=True)
class AnimateDiff(UNetCheckpoint):
    """A frozen checkpoint with motion modules.

    ``adapter`` is the folder of the motion adapter that was added; None if the UNet has its own.
    """

    adapter: Path | None = None
    memory_kind: ClassVar[type[MotionMemory]] = MotionMemory

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
        """Run the UNet on ``frames`` of the clip: float32 ``[P * F, c, h, w]``.

        The UNet takes a clip for each pass and the words of every frame, and folds the frames into
        its batch, as ControlNets have them.
        """
        x, count = x_PFchw.to(self.dtype), len(frames)
        inputs, for_controls = apart(repeated(conditioning, count))
        residuals: dict[str, Any] = {}
        if controls is not None:
            residuals = controls.residuals(x, t, for_controls, frames, step=step, steps=steps)
        clips_PcFhw = x.unflatten(0, (-1, count)).transpose(1, 2)
        output: Tensor = self.unet(clips_PcFhw, t, **inputs, **residuals, return_dict=False)[0]
        return output.transpose(1, 2).flatten(0, 1).float()

    def pass_facts(self, settings: Modulation) -> dict[str, Any]:
        """Return which frames attend to which, the scope of norms, and the adapter's files."""
        facts = super().pass_facts(settings)
        return facts | {"motion_adapter": file_facts(self.adapter)} if self.adapter else facts
