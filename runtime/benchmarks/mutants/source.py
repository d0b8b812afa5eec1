"""A module's text with its syntax tree: where nodes and operators are, in bytes."""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Sequence
from io import BytesIO
from itertools import accumulate

Span = tuple[int, int]
"""Start and end of a range of bytes; the end is exclusive."""


class Source:
    """The bytes of a module, its tree, and the spans of both."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.tree = ast.parse(data)
        self.lines = data.splitlines(keepends=True)
        self._starts = [0, *accumulate(map(len, self.lines))]
        self._tokens = [
            (self._offset(*token.start), self._offset(*token.end), token.string)
            for token in tokenize.tokenize(BytesIO(data).readline)
            if token.type in {tokenize.OP, tokenize.NAME}
        ]

    def _offset(self, row: int, column: int) -> int:
        """The byte of a row, from 1, and a column in characters."""
        line = self.lines[row - 1].decode() if row <= len(self.lines) else ""
        return self._starts[row - 1] + len(line[:column].encode())

    def span(self, node: ast.expr | ast.stmt) -> Span:
        """The bytes of a node, without parentheses around it."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset

    def text(self, node: ast.expr | ast.stmt) -> str:
        """The text of a node."""
        start, end = self.span(node)
        return self.data[start:end].decode()

    def operator(self, words: Sequence[str], start: int, end: int) -> Span | None:
        """The first place of an operator, such as ``["not", "in"]``, between two bytes."""
        inside = [token for token in self._tokens if start <= token[0] and token[1] <= end]
        for index in range(len(inside) - len(words) + 1):
            run = inside[index : index + len(words)]
            if [string for _, _, string in run] == list(words):
                return run[0][0], run[-1][1]
        return None

    def rows(self, span: Span) -> tuple[int, int]:
        """The rows, from 0 and exclusive, of the lines that contain a range of bytes."""
        first = next(row for row, end in enumerate(self._starts[1:]) if span[0] < end)
        last = next(row for row, end in enumerate(self._starts[1:]) if span[1] <= end)
        return first, last + 1

    def around(self, span: Span) -> Span:
        """The bytes of all lines that contain a range of bytes."""
        first, after = self.rows(span)
        return self._starts[first], self._starts[after]
