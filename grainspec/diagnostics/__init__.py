"""Diagnostics: findings with stable codes, and how they are printed."""

from grainspec.diagnostics.diagnostic import (
    Diagnostic,
    Fix,
    GrainError,
    Related,
    closest,
    fail,
    reason_of,
    refuse,
    suggestion,
    visible,
)

__all__ = [
    "Diagnostic",
    "Fix",
    "GrainError",
    "Related",
    "closest",
    "fail",
    "reason_of",
    "refuse",
    "suggestion",
    "visible",
]
