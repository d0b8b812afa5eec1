"""A checkpoint before it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grainspec.diagnostics.span import Span
from grainspec_runtime.models.weights import WeightsHeader

_ALIKE = {"AnimateDiffVideoToVideoPipeline": "AnimateDiffPipeline"}
"""Pipelines that are called in another way than one with the same components."""


@dataclass(frozen=True)
class AddedMotion:
    """A motion adapter that a spec adds to an image model.

    name: as written in the spec. folder: its configuration and, once they are found, its weights.
    pipeline: the class name of the diffusers pipeline of the model with it. config: its
    configuration. schedule: that of the noise schedule that it was trained with; None if it says
    nothing. span: where the spec names it.
    """

    name: str
    folder: Path
    pipeline: str
    config: Mapping[str, Any]
    schedule: Mapping[str, Any] | None = None
    span: Span | None = None


@dataclass(frozen=True)
class ModelFolder:
    """A checkpoint that is not loaded yet: in diffusers' format, or a single file.

    name: as written in the spec. index: its ``model_index.json``. span: where the spec names it.
    file: the header of a single-file checkpoint, whose configuration is ``folder``; None if all of
    the checkpoint is in ``folder``. assumed: whether that configuration is the usual one of such
    files, because the user gave none. motion: the motion adapter that is added to it.
    """

    name: str
    folder: Path
    index: Mapping[str, Any]
    span: Span | None = None
    file: WeightsHeader | None = None
    assumed: bool = False
    motion: AddedMotion | None = None

    @property
    def saved_pipeline(self) -> str:
        """The class name of the diffusers pipeline that the checkpoint was saved from."""
        return str(self.index.get("_class_name"))

    @property
    def pipeline(self) -> str:
        """The class name of the diffusers pipeline that runs it: with a motion adapter, another."""
        saved = self.saved_pipeline
        return self.motion.pipeline if self.motion else _ALIKE.get(saved, saved)

    def class_of(self, part: str) -> tuple[str | None, str | None]:
        """Return library and class of a component, as the index names them; None for no component.

        An index names them ``["diffusers", "…"]``, and ``[null, null]`` for a component left out.
        A motion adapter makes another class of a UNet.
        """
        entry = self.index.get(part)
        if self.motion and entry == ["diffusers", "UNet2DConditionModel"]:
            return "diffusers", "UNetMotionModel"
        if isinstance(entry, list) and len(entry) == 2 and all(isinstance(it, str) for it in entry):
            return entry[0], entry[1]
        return None, None

    def has(self, part: str) -> bool:
        """Return whether the checkpoint has a component."""
        return self.class_of(part)[1] is not None
