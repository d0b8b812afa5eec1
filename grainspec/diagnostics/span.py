"""Positions in source text: of a spec, or of the Python code that built one."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True, slots=True)
class Span:
    """A range of source text. Lines and columns are counted from 1; the end column is exclusive.

    ``path`` is the Python file if the spec was built in Python, and None for a spec's own text.
    """

    line: int
    column: int
    end_line: int
    end_column: int
    path: str | None = None

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of ``other``."""
        return Span(self.line, self.column, other.end_line, other.end_column, self.path)


_OURS = frozenset({"grainspec", "grainspec_runtime"})


def caller() -> Span | None:
    """The position of the call in the user's Python that led here, or None."""
    frame = sys._getframe(1)
    while frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        if frame.f_back is None:
            return None
        frame = frame.f_back
    positions = next(islice(frame.f_code.co_positions(), frame.f_lasti // 2, None), None)
    line, end_line, column, end_column = positions or (None,) * 4
    path = frame.f_code.co_filename
    if line is None or end_line is None or column is None or end_column is None:
        return Span(frame.f_lineno, 1, frame.f_lineno, 1, path)
    return Span(line, column + 1, end_line, end_column + 1, path)
