"""The statements of a text by their tokens, whether or not they can be parsed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from lark import Token

from grainspec.model.declaration import settings_of
from grainspec.model.nodes import Node
from grainspec.model.spec import BLOCKS
from grainspec.model.statements import STATEMENTS

_KEYWORDS = {word.upper(): word for word in STATEMENTS}
_OPENERS, _CLOSERS = frozenset({"LPAR", "LBRACE"}), frozenset({"RPAR", "RBRACE"})
GOES_ON = frozenset(
    {*_OPENERS, *_KEYWORDS, "VBAR", "AMPERSAND", "MINUS", "TILDE", "COMMA", "EQUAL", "_ARROW"}
    | {"AT", "OF", "CLASS", "INSTANCE", "PART", "GROW", "SHRINK", "DURING", "SMOOTH"}
)
"""Tokens after which a statement goes on, even with a name at the start of the next line."""


@dataclass(frozen=True, slots=True)
class Written:
    """One statement as it is written; ``start`` and ``end`` are offsets.

    ``keyword`` is empty for words that begin no statement. ``variant`` counts variants from 1 and
    is 0 outside them; a variant's head belongs to it, and its tokens end with the brace.
    """

    keyword: str
    tokens: tuple[Token, ...]
    variant: int

    @property
    def start(self) -> int:
        """The offset of its first character."""
        return self.tokens[0].start_pos or 0

    @property
    def end(self) -> int:
        """The offset after its last character."""
        return self.tokens[-1].end_pos or 0


@dataclass(frozen=True, slots=True)
class Braces:
    """The place of a variant's braces.

    Without a closing one, ``end`` is the next variant's start, or the end of the text.
    """

    number: int
    name: str
    start: int
    open: int
    end: int
    closed: bool

    def hold(self, offset: int) -> bool:
        """Whether what is written at an offset is inside the braces."""
        return self.open < offset < self.end + (not self.closed)


def written_statements(
    tokens: Iterable[Token], end: int
) -> tuple[tuple[Written, ...], tuple[Braces, ...]]:
    """Split tokens at the keywords of statements, and at words that begin a line.

    Returns the statements, and the braces of variants; ``end`` is the end of the text.

    >>> from grainspec.text.tokens import grammar
    >>> text = 'target "a" variant v { keep sky } keep left,'
    >>> statements, variants = written_statements(grammar().lex(text), len(text))
    >>> [(one.keyword, one.variant) for one in statements], variants[0].end
    ([('target', 0), ('variant', 1), ('keep', 1), ('keep', 0)], 33)
    """
    splitter = _Splitter()
    for token in tokens:
        splitter.take(token)
    splitter.close(end)
    return tuple(splitter.statements), tuple(splitter.variants)


class _Splitter:
    """Takes tokens one by one."""

    def __init__(self) -> None:
        self.statements: list[Written] = []
        self.variants: list[Braces] = []
        self.current: list[Token] = []
        self.depth = 0
        self.count = 0
        self.inside = 0
        self.head: Written | None = None

    def take(self, token: Token) -> None:
        keyword = token.type in _KEYWORDS and not (self.depth and self.is_word(token))
        if keyword or (not self.depth and _begins(token, self.current)):
            self.finish()
            if token.type == "VARIANT":
                self.close(token.start_pos or 0)
                self.count += 1
                self.inside = self.count
        elif token.type == "RBRACE" and not self.depth and self.inside:
            self.finish()
            self.close(token.end_pos or 0, closed=True)
            return
        self.current.append(token)
        if self.current[0].type == "VARIANT" and token.type == "LBRACE":
            self.finish()
            self.head = self.statements[-1]
        else:
            closed = token.type in _CLOSERS
            self.depth = max(0, self.depth + (token.type in _OPENERS) - closed)

    def is_word(self, token: Token) -> bool:
        """Whether a keyword is a setting, or a setting's value, in the block that is open."""
        block = BLOCKS.get(_KEYWORDS.get(self.current[0].type, ""))
        return block is not None and str(token) in _words_of(block.model)

    def finish(self) -> None:
        """End the current statement."""
        if self.current:
            keyword = _KEYWORDS.get(self.current[0].type, "")
            self.statements.append(Written(keyword, tuple(self.current), self.inside))
            if keyword == "variant" and self.current[-1].type != "LBRACE":
                self.inside = 0  # a head without a brace: what follows may be anything
            self.current.clear()
        self.depth = 0

    def close(self, end: int, *, closed: bool = False) -> None:
        """End the current variant, if there is one."""
        self.finish()
        if self.head is not None:
            tokens = self.head.tokens
            name = next((str(token) for token in tokens if token.type == "NAME"), "")
            opened = tokens[-1].start_pos or 0
            start = self.head.start
            self.variants.append(Braces(self.inside, name, start, opened, end, closed))
        self.head, self.inside = None, 0


@cache
def _words_of(model: type[Node]) -> frozenset[str]:
    """The words inside a block's braces: settings and values."""
    settings = settings_of(model)
    return frozenset({*settings, *(word for one in settings.values() for word in one.choices)})


def _begins(token: Token, before: list[Token]) -> bool:
    """Whether a name begins a line, and what is before it does not go on."""
    if not before or token.type != "NAME":
        return False
    last = before[-1]
    return last.end_line != token.line and last.type not in GOES_ON
