"""The memory of a UNet with motion modules. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from grainspec_runtime.backbones.unets.memory import UNetMemory
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.weights import weight_count


@dataclass(frozen=True)
class MotionMemory(UNetMemory):
    """The estimates for a UNet with motion modules.

    A motion module has the layers of a transformer, for each latent position over the frames: as
    many numbers as a spatial one holds for each frame, also where an image model attends to
    nothing.
    """

    everywhere: bool = True

    @classmethod
    def of_folder(
        cls, model: ModelFolder, weighted: Mapping[str, object], *, itemsize: int
    ) -> Self:
        """Estimate before a model is loaded; weights that are not there yet count as 0."""
        alone = super().of_folder(model, weighted, itemsize=itemsize)
        if model.motion is None:
            return alone
        added = weight_count(model.motion.folder) * itemsize
        return replace(alone, parts={**alone.parts, "unet": alone.parts["unet"] + added})
