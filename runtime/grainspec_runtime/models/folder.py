"""A checkpoint in diffusers' format, before it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grainspec.diagnostics.span import Span


@dataclass(frozen=True)
class ModelFolder:
    """A checkpoint in diffusers' format that is not loaded yet.

    name: as written in the spec. index: its ``model_index.json``. span: where the spec names it.
    """

    name: str
    folder: Path
    index: Mapping[str, Any]
    span: Span | None = None

    @property
    def pipeline(self) -> str:
        """The class name of the diffusers pipeline that the checkpoint was saved from."""
        return str(self.index.get("_class_name"))
