"""Load a checkpoint with motion modules, or an image model with a motion adapter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from diffusers import AnimateDiffPipeline, MotionAdapter, UNet2DConditionModel, UNetMotionModel

from grainspec_runtime.backbones.components import load_component
from grainspec_runtime.backbones.families.animatediff.checkpoint import AnimateDiff
from grainspec_runtime.backbones.unets.load import load_pipeline
from grainspec_runtime.models.folder import AddedMotion, ModelFolder
from grainspec_runtime.models.motion_unet import with_motion
from grainspec_runtime.models.options import LoadOptions


def load(
    model: ModelFolder, options: LoadOptions, parts: Iterable[str], weighted: Sequence[str]
) -> AnimateDiff:
    """Load a checkpoint's components, its ``parts``, as a stock ``AnimateDiffPipeline``.

    Raises as :func:`grainspec_runtime.backbones.unets.load.load_pipeline` does.
    """
    loaded = load_pipeline(
        model,
        options,
        parts,
        weighted,
        unet=UNet2DConditionModel if model.motion else UNetMotionModel,
        assemble=partial(_pipeline, motion=model.motion),
    )
    return AnimateDiff(
        name=model.name,
        folder=model.folder,
        pipe=loaded.pipe,
        device=loaded.device,
        dtype=loaded.dtype,
        file=model.file.path if model.file else None,
        findings=loaded.findings,
        adapter=model.motion.folder if model.motion else None,
    )


def _pipeline(parts: dict[str, Any], motion: AddedMotion | None) -> AnimateDiffPipeline:
    """Assemble the stock pipeline; a motion adapter's layers become the UNet's own."""
    if motion is not None:
        adapter = load_component(MotionAdapter, motion.folder)
        parts = {**parts, "unet": with_motion(parts["unet"], adapter)}
    return AnimateDiffPipeline(**parts, motion_adapter=None)
