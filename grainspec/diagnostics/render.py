"""Diagnostics as text: the source line, carets under the words, and the cure below."""

from __future__ import annotations

from collections.abc import Iterable
from linecache import getlines

from rich.cells import cell_len
from rich.text import Text

from grainspec.diagnostics.diagnostic import UNSAFE, Diagnostic, Related, visible
from grainspec.diagnostics.span import Span

_LONGEST_LINE = 160


def render(
    diagnostics: Iterable[Diagnostic], *, source: str | None = None, path: str | None = None
) -> Text:
    """Render all findings as one styled text; colours appear on terminals only."""
    lines = source.split("\n") if source is not None else []
    blocks = [_render_one(diagnostic, lines, path) for diagnostic in diagnostics]
    return Text("\n\n").join(blocks)


def _render_one(diagnostic: Diagnostic, lines: list[str], path: str | None) -> Text:
    colour = "red" if diagnostic.is_error else "yellow"
    text = Text()
    text.append(f"{diagnostic.severity}[{diagnostic.code}]", f"bold {colour}")
    text.append(f": {visible(diagnostic.message)}", "bold")
    span = diagnostic.span
    if span and span.path:
        path, lines = span.path, getlines(span.path)
    if span:
        gutter = len(str(span.line))
        text.append(f"\n{' ' * gutter}--> ", "blue")
        text.append(f"{visible(path or '<text>')}:{span.line}:{span.column}")
        if 0 < span.line <= len(lines):
            _append_excerpt(text, lines[span.line - 1], span, "^", gutter, colour)
    elif path:
        text.append("\n --> ", "blue")
        text.append(visible(path))
    for related in diagnostic.related:
        _append_related(text, related, lines)
    if diagnostic.cure:
        text.append("\n  = ", "blue")
        text.append(visible(diagnostic.cure))
    return text


def _append_related(text: Text, related: Related, lines: list[str]) -> None:
    span = related.span
    if span.path:
        lines = getlines(span.path)
    if 0 < span.line <= len(lines):
        _append_excerpt(text, lines[span.line - 1], span, "-", len(str(span.line)), "blue")
        text.append(f" {visible(related.message)}", "blue")


def _append_excerpt(text: Text, line: str, span: Span, mark: str, gutter: int, colour: str) -> None:
    line = line.rstrip("\r\n")
    start = min(span.column - 1, len(line))
    end = span.end_column - 1 if span.end_line == span.line else len(line)
    end = max(end, start)
    shift = max(0, start - _LONGEST_LINE // 2)
    shown = line[shift : shift + _LONGEST_LINE]
    before, marked = line[shift:start], line[start : min(end, shift + _LONGEST_LINE)]
    before, marked, shown = (
        UNSAFE.sub("·", part.replace("\t", "    ")) for part in (before, marked, shown)
    )
    text.append(f"\n{' ' * gutter} |\n{span.line} | ", "blue")
    text.append(shown)
    text.append(f"\n{' ' * gutter} | ", "blue")
    text.append(" " * cell_len(before))
    text.append(mark * max(1, cell_len(marked)), f"bold {colour}")
