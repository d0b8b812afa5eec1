"""Check of the model that a spec names, by the package that runs models.

The runtime provides it as the entry point ``model`` of the group ``grainspec.checks``: a function
of a spec and the folder that its relative paths start at, which returns findings. It loads no
weights and downloads nothing.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

from grainspec.diagnostics import Diagnostic
from grainspec.model.spec import DEMO, EditSpec


def check_model(spec: EditSpec, base: Path) -> list[Diagnostic]:
    """Check the files of the model that ``spec`` names; the embedded one needs no check."""
    if spec.model == DEMO:
        return []
    checks = [entry.load() for entry in entry_points(group="grainspec.checks", name="model")]
    return [finding for check in checks for finding in check(spec, base)]
