"""Findings with stable codes, and how they are shown."""

from grainspec.diagnostics.diagnostic import (
    Diagnostic,
    GrainError,
    closest,
    fail,
    reason_of,
    refuse,
    suggestion,
    visible,
)

__all__ = [
    "Diagnostic",
    "GrainError",
    "closest",
    "fail",
    "reason_of",
    "refuse",
    "suggestion",
    "visible",
]
