"""Engines by their names in the language; their modules are imported when they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from grainspec.diagnostics import fail, suggestion
from grainspec_runtime.tracking.engine import EngineRow, Finder, Tracker

TRACKERS = {"colour": "colour", "sam2": "sam2", "edgetam": "sam2", "sam3": "sam3"}
"""The module in ``engines`` of each tracker."""
FINDERS = {"grounding_dino": "grounding_dino", "owlv2": "owlv2", "sam3": "sam3"}
"""The module in ``engines`` of each finder."""


def tracker_row(name: str) -> EngineRow[Tracker]:
    """The tracker of a name; raises GrainError (G205) for an unknown one."""
    row: EngineRow[Tracker] = _row(TRACKERS, "tracker", name)
    return row


def finder_row(name: str) -> EngineRow[Finder]:
    """The finder of a name; raises GrainError (G205) for an unknown one."""
    row: EngineRow[Finder] = _row(FINDERS, "finder", name)
    return row


def _row(modules: dict[str, str], kind: str, name: str) -> Any:
    """The row of an engine. A module with several engines has them as ``TRACKER_EDGETAM``."""
    if name not in modules:
        raise fail("G205", f"unknown {kind} `{name}`", suggestion(name, modules))
    module = import_module(f"grainspec_runtime.tracking.engines.{modules[name]}")
    constant = kind.upper()
    return getattr(module, f"{constant}_{name.upper()}", None) or getattr(module, constant)
