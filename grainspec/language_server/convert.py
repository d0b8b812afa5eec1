"""From the records of the analysis to those of the protocol."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lsprotocol import types
from pygls.uris import to_fs_path

from grainspec.analysis.document import Document
from grainspec.analysis.edits import TextEdit
from grainspec.diagnostics import Diagnostic
from grainspec.diagnostics.span import Span

EXPLAINED = "https://github.com/grainspec/grainspec/blob/main/grainspec/diagnostics/explanations.md"
"""The page with a section about each code."""

_WITHOUT_EFFECT = frozenset({"G103", "G111"})
"""Codes of what has no effect, which editors grey out."""


def path_of(uri: str) -> Path | None:
    """The file of a document; None for one that is in no file yet."""
    path = to_fs_path(uri)
    return Path(path) if path and "\0" not in path else None


def range_of(document: Document, start: int, end: int) -> types.Range:
    """The range of the characters from ``start`` to before ``end``."""
    (line, column), (last, end_column) = map(document.positions.position, (start, end))
    return types.Range(types.Position(line, column), types.Position(last, end_column))


def range_of_span(document: Document, span: Span | None) -> types.Range:
    """The range of a span; the start of the text if it is unknown or in another file."""
    if span is None or span.path is not None:
        return types.Range(types.Position(0, 0), types.Position(0, 0))
    return range_of(document, *document.positions.offsets(span))


def offset_of(document: Document, position: types.Position) -> int:
    """The offset of a position."""
    return document.positions.offset(position.line, position.character)


def text_edits(document: Document, edits: Iterable[TextEdit]) -> list[types.TextEdit]:
    """Edits of the text."""
    return [types.TextEdit(range_of(document, e.start, e.end), e.text) for e in edits]


def diagnostic(document: Document, uri: str, finding: Diagnostic) -> types.Diagnostic:
    """A finding, with a link to its explanation and the places that explain it."""
    error = finding.is_error
    cure = f". {finding.cure}" if finding.cure else ""
    return types.Diagnostic(
        range=range_of_span(document, finding.span),
        message=finding.message + cure,
        severity=types.DiagnosticSeverity.Error if error else types.DiagnosticSeverity.Warning,
        code=finding.code,
        code_description=types.CodeDescription(f"{EXPLAINED}#{finding.code.lower()}"),
        source="grain",
        tags=[types.DiagnosticTag.Unnecessary] if finding.code in _WITHOUT_EFFECT else None,
        related_information=[
            types.DiagnosticRelatedInformation(
                types.Location(uri, range_of_span(document, place.span)), place.message
            )
            for place in finding.related
            if place.span.path is None
        ]
        or None,
    )
