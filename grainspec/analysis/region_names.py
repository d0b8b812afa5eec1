"""Names of regions: fresh ones, and those that a gesture is about."""

from __future__ import annotations

from grainspec.analysis.edits import TextEdit
from grainspec.analysis.written import Written, WrittenRegion, references
from grainspec.diagnostics import GrainError, fail, suggestion
from grainspec.model.algebra import Reference
from grainspec.model.validation import made


def fresh_name(written: Written) -> str:
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


def region_of(written: Written, name: str) -> WrittenRegion | None:
    """The region of a name, None if there is none; raises GrainError (G712) if it is unreadable."""
    if name in written.regions:
        return written.regions[name]
    broken = written.broken("region", name)
    if broken is None:
        return None
    raise unreadable_region(name, broken.span.line, GrainError(broken.findings))


def existing_region(written: Written, name: str) -> WrittenRegion:
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


def renamed(written: Written, name: str, new: str) -> list[TextEdit]:
    """The edits that give a region another name, in its statement and wherever it is used.

    Raises GrainError: G202 if that is no name, G102 if another region has it.
    """
    region, new = existing_region(written, name), valid_name(new)
    if new != name and new in written.names:
        raise fail("G102", f"`{new}` is already the name of a region", "Choose another name.")
    tokens = [one for other in written.regions.values() for one in references(other.expression)]
    tokens += [region.name, *(claim.name for claim in written.claims)]
    return [
        TextEdit(token.start_pos or 0, token.end_pos or 0, new)
        for token in tokens
        if str(token) == name and new != name
    ]
