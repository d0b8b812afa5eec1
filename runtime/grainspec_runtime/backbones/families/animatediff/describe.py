"""What the compiler needs to know about a UNet with motion modules. Free of torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePath

from grainspec.diagnostics import Diagnostic
from grainspec.plan.backbone import Backbone
from grainspec_runtime.backbones.unets import describe as of_images
from grainspec_runtime.backbones.unets.distilled import few_steps_hint
from grainspec_runtime.models.additions import Embedding
from grainspec_runtime.models.config import number_in, read_json
from grainspec_runtime.models.folder import ModelFolder

_FRAMES = 32
"""diffusers' default for the frames that motion modules have positions for."""


def describe(
    model: ModelFolder,
    embeddings: Sequence[Embedding],
    parts: Iterable[str],
    *,
    outlined: bool = False,
) -> Backbone:
    """Describe a checkpoint as an image model of the same UNet, with the longest clip besides.

    Raises GrainError as :func:`grainspec_runtime.backbones.unets.describe.describe` does.
    """
    image_model = of_images.describe(model, embeddings, parts, outlined=outlined)
    return replace(image_model, most_frames=most_frames(model), motion_modules=True)


def most_frames(model: ModelFolder) -> int:
    """Return the most frames at once that motion modules have positions for."""
    config = model.motion.config if model.motion else read_json(model.folder / "unet/config.json")
    return number_in(config, "motion_max_seq_length", _FRAMES)


def adapter_doubts(model: ModelFolder) -> list[Diagnostic]:
    """Return a warning (G525) if the name of a motion adapter hints at distillation."""
    motion = model.motion
    hint = few_steps_hint(PurePath(motion.name).name) if motion else None
    if motion is None or hint is None:
        return []
    message = (
        f"the motion adapter {motion.name} may be distilled (its name contains `{hint}`); "
        "inversion and guidance need a model that is not distilled"
    )
    return [Diagnostic("G525", message, "Use an adapter without LCM or Lightning.", motion.span)]
