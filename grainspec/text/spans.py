"""Places of tokens in a text: as lines and columns, and as offsets."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from lark import Token

from grainspec.diagnostics.span import Span


def span_of(token: Token) -> Span:
    """The place of a token."""
    return Span(token.line or 1, token.column or 1, token.end_line or 1, token.end_column or 1)


def span_between(first: Token, last: Token) -> Span:
    """The span from the start of one token to the end of another."""
    return span_of(first).to(span_of(last))


def after(token: Token) -> Span:
    """The empty span at the end of a token, where something is missing."""
    line, column = token.end_line or 1, token.end_column or 1
    return Span(line, column, line, column)


class Lines:
    r"""The lines of a text, to convert between spans and offsets.

    >>> lines = Lines("grain 1\nkeep sky\n")
    >>> lines.span(8, 12)
    Span(line=2, column=1, end_line=2, end_column=5, path=None)
    >>> lines.offsets(lines.span(8, 12))
    (8, 12)
    """

    def __init__(self, text: str) -> None:
        self.text = text
        lengths = [len(line) + 1 for line in text.split("\n")]
        self._starts: Sequence[int] = [0, *accumulate(lengths)]

    def span(self, start: int, end: int) -> Span:
        """The span of the characters from ``start`` to before ``end``."""
        return Span(*self._place(start), *self._place(end))

    def offsets(self, span: Span) -> tuple[int, int]:
        """The offsets of a span's start and end."""
        start = self._starts[span.line - 1] + span.column - 1
        return start, self._starts[span.end_line - 1] + span.end_column - 1

    def _place(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1
