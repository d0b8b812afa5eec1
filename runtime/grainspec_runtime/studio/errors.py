"""Errors as JSON, with the status of HTTP that says the same."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from grainspec.cli.ending import finding_of
from grainspec.diagnostics import GrainError

_STATUS = {
    "G301": 404,
    "G340": 409,
    "G354": 409,
    "G364": 409,
    "G501": 503,
    "G721": 401,
    "G722": 403,
    "G723": 403,
    "G724": 400,
    "G725": 413,
    "G726": 409,
    "G727": 404,
    "G728": 429,
    "G730": 404,
    "G900": 500,
}
_PLACES = ("line", "column", "end_line", "end_column")
_OTHERS = 422
"""The status of what is wrong with a spec and its files."""


class Refused(Exception):
    """A command refused what it was asked; ``findings`` are those that it printed."""

    def __init__(self, findings: list[dict[str, Any]]) -> None:
        super().__init__(findings[0]["message"])
        self.findings = findings


def error_response(error: Exception) -> JSONResponse:
    """The response for what a request raised; what nobody expects is an internal error (G900)."""
    if isinstance(error, Refused):
        findings = error.findings
    else:
        told = error.diagnostics if isinstance(error, GrainError) else (finding_of(error),)
        findings = [finding.as_json() for finding in told]
    first = next((found for found in findings if found["severity"] == "error"), findings[0])
    span = {name: first[name] for name in _PLACES} if "line" in first else None
    fields = {name: first[name] for name in ("code", "message", "cure")}
    answer = {**fields, "span": span, "findings": findings}
    return JSONResponse(answer, _STATUS.get(first["code"], _OTHERS))
