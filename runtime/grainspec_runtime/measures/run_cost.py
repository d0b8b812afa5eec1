"""Time and memory of a run, and what they include, from a manifest whose values may be anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NOT_EDITING = ("load model",)
"""Stages of a run that its time does not count."""
_SHARED = ("read clip", "flow", "control", "invert")
"""Stages that variants share if one command runs them; the first one has their time."""


def edit_seconds(manifest: Mapping[str, Any]) -> float | None:
    """Return the time of all stages but loading; None if the manifest does not say."""
    counted = _stages(manifest)
    return float(sum(counted.values())) if counted else None


def note_of_seconds(manifest: Mapping[str, Any]) -> str:
    """Say what the time of a run includes for other runs, or owes to them; empty if nothing."""
    stages, notes = _stages(manifest), []
    reused = manifest.get("inversion_cached") is True and "invert" in stages
    if reused:
        notes.append("without the inversion, which was reused")
    shared = [name for name in _SHARED if name in stages and not (name == "invert" and reused)]
    if manifest.get("variant") and shared:
        named = ", ".join(f"`{name}` ({stages[name]:.1f} s)" for name in shared)
        notes.append(f"with what variants of one command share: {named}")
    if manifest.get("resumed_at_step"):
        notes.append("without the steps before the interruption")
    return "; ".join(notes)


def note_of_memory(manifest: Mapping[str, Any]) -> str:
    """Say that variants before a variant are included; empty for a run without variants."""
    if not manifest.get("variant"):
        return ""
    return "since the start of the process, with the variants that it ran before"


def _stages(manifest: Mapping[str, Any]) -> dict[str, float]:
    """The seconds of each stage but loading; empty for a manifest of another form."""
    stages = manifest.get("seconds")
    return {
        str(name): value
        for name, value in (stages.items() if isinstance(stages, dict) else ())
        if isinstance(value, int | float) and name not in _NOT_EDITING
    }
