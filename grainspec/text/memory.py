"""What was read of a text's statements, for the next reading of nearly the same text.

An editor's text is read again at every key. A statement with the same characters at the same place
has the same tree, nodes and findings; only their offsets in the text may differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lark import Token, Tree

from grainspec.diagnostics import Diagnostic

Place = tuple[int, int]
"""The line and column of a statement's first character."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What reading a statement added to the regions, the edits, the findings and the unread."""

    regions: tuple[Any, ...]
    edits: tuple[Any, ...]
    findings: tuple[Diagnostic, ...]
    unread: frozenset[str]


@dataclass(slots=True)
class Remembered:
    """A statement that could be parsed: its characters, the number of its tokens, and its tree.

    The offsets of the tree's tokens are those in the text that it was parsed from.
    """

    text: str
    tokens: int
    tree: Tree[Token]
    outcome: Outcome | None = None
    """Of a statement about regions, once it is read; the same in variants and outside them."""


Memory = Mapping[Place, Remembered]
NOTHING: Memory = MappingProxyType({})
