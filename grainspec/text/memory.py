"""What was read of a text, for the next reading of nearly the same text.

An editor's text is read again at every key. A line with the same characters has the same tokens,
and a statement with the same characters has the same tree, nodes and findings: wherever they stand,
only their places differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from lark import Token, Tree

from grainspec.diagnostics import Diagnostic
from grainspec.text.lines_of_tokens import LineOfTokens
from grainspec.text.moved import Move, Place

MAX_KEY = 200
"""Characters by which a statement is found again; all of them are compared then."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What reading a statement added to the regions, the edits, the findings and the unread."""

    regions: tuple[Any, ...]
    edits: tuple[Any, ...]
    findings: tuple[Diagnostic, ...]
    unread: frozenset[str]

    @property
    def can_move(self) -> bool:
        """Whether no finding names another place in words, as "first given in line 3" does."""
        return not any(finding.related for finding in self.findings)


@dataclass(slots=True)
class Remembered:
    """A statement that could be parsed: its characters, the number of its tokens, and its place.

    ``key`` is the rest of the line on which it begins.
    """

    key: str
    text: str
    tokens: int
    place: Place
    tree: Tree[Token]
    """Its tokens have the lines and columns of another place if there is an outcome. Their offsets
    are always those in the text that it was parsed from."""
    tree_place: Place
    outcome: Outcome | None = None
    """Of a statement about regions, once it is read; the same in variants and outside them."""

    def at(self, place: Place) -> Remembered:
        """The same statement at another place."""
        if place == self.place:
            return self
        if self.outcome is not None and self.outcome.can_move:
            move = Move(self.place, place)
            outcome = replace(
                self.outcome,
                regions=move.nodes(self.outcome.regions),
                edits=move.nodes(self.outcome.edits),
                findings=tuple(map(move.finding, self.outcome.findings)),
            )
            return replace(self, place=place, outcome=outcome)
        tree = Move(self.tree_place, place).tree(self.tree)
        return replace(self, place=place, tree=tree, tree_place=place, outcome=None)


@dataclass(frozen=True, slots=True)
class Memory:
    """The statements of a text, by their keys, and its lines."""

    statements: Mapping[str, Remembered] = field(default_factory=dict)
    lines: Mapping[str, LineOfTokens] = field(default_factory=dict)


NOTHING = Memory(MappingProxyType({}), MappingProxyType({}))


def key_at(text: str, start: int) -> str:
    """The key of a statement that begins at an offset."""
    end = text.find("\n", start, start + MAX_KEY)
    return text[start : end if end >= 0 else start + MAX_KEY]
