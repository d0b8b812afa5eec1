"""What `grain check` finds about the model of a spec."""

from __future__ import annotations

from pathlib import Path

from grainspec.checking import outlined_model
from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.model.spec import EditSpec


def check_model(spec: EditSpec, base: Path) -> list[Diagnostic]:
    """The findings about the files of a model."""
    try:
        known = outlined_model(spec, base)
    except GrainError as error:
        return list(error.diagnostics)
    return list(known.warnings) if known else []
