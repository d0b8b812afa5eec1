"""Names of regions: fresh ones, and those that a gesture is about."""

from __future__ import annotations

from grainspec.analysis.gestures.spec_text import SpecText, WrittenRegion
from grainspec.diagnostics import GrainError, fail, suggestion
from grainspec.model.algebra import Reference
from grainspec.model.validation import made


def fresh_name(written: SpecText) -> str:
    """A name that no region has and no statement uses: `region_1`, `region_2`, …"""
    number = 1
    while f"region_{number}" in written.names:
        number += 1
    return f"region_{number}"


def valid_name(name: str) -> str:
    """A name as the language takes it; raises GrainError (G202) if it is none."""
    try:
        return str(made(Reference, name=name).name)
    except GrainError as error:
        first = error.diagnostics[0]
        raise fail(first.code, first.message, first.cure) from error


def region_of(written: SpecText, name: str) -> WrittenRegion | None:
    """The region of a name, None if there is none; raises GrainError (G712) if it is unreadable."""
    if name in written.regions:
        return written.regions[name]
    broken = written.broken("region", name)
    if broken is None:
        return None
    raise unreadable_region(name, broken.span.line, GrainError(broken.findings))


def existing_region(written: SpecText, name: str) -> WrittenRegion:
    """The region of a name; raises GrainError, G101 if there is none, G712 if it is unreadable."""
    region = region_of(written, name)
    if region is None:
        raise fail("G101", f"unknown region `{name}`", suggestion(name, written.regions))
    return region


def unreadable_region(name: str, line: int, error: GrainError) -> GrainError:
    """The refusal (G712) to change a region that has a mistake."""
    first = error.diagnostics[0] if error.diagnostics else None
    message = f"region `{name}` cannot be changed in the picture while its text has a mistake"
    cure = f"Correct line {first.span.line if first and first.span else line} first"
    cure += f": {first.message}." if first else "."
    return fail("G712", message, cure)
