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
_OTHERS = 422
"""The status of what is wrong with a spec and its files."""


def error_json(error: GrainError) -> dict[str, Any]:
    """An error as the page gets it: its first finding that is an error, and all findings."""
    findings = error.diagnostics
    first = next((finding for finding in findings if finding.is_error), findings[0])
    fields = first.as_json()
    places = ("line", "column", "end_line", "end_column")
    span = {name: fields[name] for name in places} if first.span else None
    return {
        "code": first.code,
        "message": first.message,
        "cure": first.cure,
        "span": span,
        "findings": [finding.as_json() for finding in findings],
    }


def error_response(error: Exception) -> JSONResponse:
    """The response for what a request raised; what nobody expects is an internal error (G900)."""
    if not isinstance(error, GrainError):
        error = GrainError([finding_of(error)])
    fields = error_json(error)
    return JSONResponse(fields, _STATUS.get(fields["code"], _OTHERS))
