"""What was read of a statement, at another place: trees, nodes and findings."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from lark import Token, Tree
from lark.tree import Meta

from grainspec.diagnostics import Diagnostic, Fix
from grainspec.diagnostics.span import Span
from grainspec.model.nodes import Node

Place = tuple[int, int]
"""The line and column of a statement's first character."""

_N = TypeVar("_N", bound=Node)
_HOLDERS = (Node, tuple)
"""What may hold a place."""


@dataclass(frozen=True, slots=True)
class Move:
    """From one place of a statement to another: of its columns, only those in its first line move.

    >>> Move((3, 5), (4, 1)).span(Span(3, 7, 5, 2))
    Span(line=4, column=3, end_line=6, end_column=2, path=None)
    """

    start: Place
    to: Place

    def position(self, line: int, column: int) -> Place:
        """A line and column."""
        (first, indent), (new, new_indent) = self.start, self.to
        return line + new - first, column + (new_indent - indent if line == first else 0)

    def span(self, span: Span) -> Span:
        """A range of the statement's text."""
        start = self.position(span.line, span.column)
        return Span(*start, *self.position(span.end_line, span.end_column), span.path)

    def finding(self, finding: Diagnostic) -> Diagnostic:
        """A finding about the statement alone."""
        fixes = tuple(Fix(self.span(fix.span), fix.text) for fix in finding.fixes)
        span = self.span(finding.span) if finding.span else None
        return replace(finding, span=span, fixes=fixes)

    def nodes(self, nodes: Iterable[_N]) -> tuple[_N, ...]:
        """Records with all that are in them, as copies."""
        return tuple(map(self._value, nodes))

    def _value(self, value: Any) -> Any:
        if isinstance(value, Node):
            return self._node(value)
        if type(value) is tuple and any(isinstance(one, _HOLDERS) for one in value):
            return tuple(map(self._value, value))
        return value

    def _node(self, node: _N) -> _N:
        moved = node.__copy__()
        for name, value in node.__dict__.items():
            if isinstance(value, _HOLDERS):
                moved.__dict__[name] = self._value(value)
        if spans := node._spans:
            moved._spans = {name: self.span(span) for name, span in spans.items()}
        return moved

    def tree(self, tree: Tree[Token]) -> Tree[Token]:
        """A parse tree; offsets stay as they are."""
        children = [
            self.tree(child) if isinstance(child, Tree) else self._token(child)
            for child in tree.children
        ]
        return Tree(tree.data, children, self._meta(tree.meta))

    def _token(self, token: Token) -> Token:
        line, column = self.position(token.line or 1, token.column or 1)
        end = self.position(token.end_line or 1, token.end_column or 1)
        return Token(token.type, token.value, token.start_pos, line, column, *end, token.end_pos)

    def _meta(self, meta: Meta) -> Meta:
        moved = copy(meta)
        if not meta.empty:
            moved.line, moved.column = self.position(meta.line, meta.column)
            moved.end_line, moved.end_column = self.position(meta.end_line, meta.end_column)
        return moved
