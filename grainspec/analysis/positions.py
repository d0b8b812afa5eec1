"""Positions in a text as editors count them: lines from 0, columns in UTF-16 units."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right

from grainspec.diagnostics.span import Span

_LINE_END = re.compile(r"\r\n|\r|\n")
_BEYOND_16_BITS = re.compile("[\U00010000-\U0010ffff]")


class Utf16:
    r"""The lines of a text, to convert between offsets, UTF-16 positions and spans.

    Offsets are in code points. Lines end with ``\n``, ``\r\n`` or ``\r``, as the language server
    protocol says. Positions outside the text are moved to the nearest one inside; the middle of a
    surrogate pair to its start.

    >>> places = Utf16('target "a 🐻 bear"\nkeep sky')
    >>> places.position(12), places.offset(0, 13)
    ((0, 13), 12)
    >>> places.span(12, 16)
    Span(line=1, column=13, end_line=1, end_column=17, path=None)
    """

    def __init__(self, text: str) -> None:
        self.text = text
        ends = [match.span() for match in _LINE_END.finditer(text)]
        self._starts = [0, *(end for _, end in ends)]
        self._ends = [*(start for start, _ in ends), len(text)]
        self._ascii = text.isascii()
        self._wide: dict[int, list[int]] = {}

    @property
    def lines(self) -> int:
        """The number of lines; a text that ends with a line end has an empty last line."""
        return len(self._starts)

    def line(self, number: int) -> str:
        """The text of a line, counted from 0, without its line end."""
        return self.text[self._starts[number] : self._ends[number]]

    def start_of_line(self, number: int) -> int:
        """The offset at which a line, counted from 0, begins."""
        return self._starts[number]

    def offset(self, line: int, column: int) -> int:
        """The offset of a UTF-16 position."""
        if line < 0:
            return 0
        if line >= len(self._starts):
            return len(self.text)
        wide = self._wide_in(line)
        # Character number i of those has its first unit at its index plus i.
        before = bisect_left(range(len(wide)), max(column, 0), key=lambda i: wide[i] + i)
        start, end = self._starts[line], self._ends[line]
        return min(start + max(column, 0) - before, end)

    def position(self, offset: int) -> tuple[int, int]:
        """The line and the UTF-16 column of an offset."""
        offset = min(max(offset, 0), len(self.text))
        line = bisect_right(self._starts, offset) - 1
        column = min(offset, self._ends[line]) - self._starts[line]
        return line, column + bisect_left(self._wide_in(line), column)

    def span(self, start: int, end: int) -> Span:
        """The span of the characters from ``start`` to before ``end``."""
        return Span(*self._place(start), *self._place(end))

    def offsets(self, span: Span) -> tuple[int, int]:
        """The offsets of a span's start and end; the end is never before the start."""
        start = self._offset(span.line, span.column)
        return start, max(start, self._offset(span.end_line, span.end_column))

    def _place(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def _offset(self, line: int, column: int) -> int:
        if not 1 <= line <= len(self._starts):
            return 0 if line < 1 else len(self.text)
        start = self._starts[line - 1]
        after = self._starts[line] if line < len(self._starts) else len(self.text)
        return min(max(start + column - 1, start), after)

    def _wide_in(self, line: int) -> list[int]:
        """The columns of a line's characters that are two units."""
        if self._ascii:
            return []
        found = self._wide.get(line)
        if found is None:
            found = [match.start() for match in _BEYOND_16_BITS.finditer(self.line(line))]
            self._wide[line] = found
        return found
