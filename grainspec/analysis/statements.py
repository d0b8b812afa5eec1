"""The statements of a text by their tokens, whether or not they can be parsed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lark import Token

from grainspec.model.statements import STATEMENTS

_KEYWORDS = {word.upper(): word for word in STATEMENTS}
_OPENERS, _CLOSERS = frozenset({"LPAR", "LBRACE"}), frozenset({"RPAR", "RBRACE"})
_GOES_ON = frozenset(
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
    """The place of a variant's braces; ``end`` is the text's if the brace is not closed."""

    number: int
    name: str
    start: int
    open: int
    end: int


def written_statements(tokens: Iterable[Token]) -> Iterator[Written]:
    """Split tokens at the keywords of statements, and at words that begin a line.

    >>> from grainspec.text.tokens import grammar
    >>> text = 'target "a" variant v { keep sky } keep left,'
    >>> [(one.keyword, one.variant) for one in written_statements(grammar().lex(text))]
    [('target', 0), ('variant', 1), ('keep', 1), ('keep', 0)]
    """
    current: list[Token] = []
    depth, variants, inside = 0, 0, 0

    def ended() -> Iterator[Written]:
        if current:
            yield Written(_KEYWORDS.get(current[0].type, ""), tuple(current), inside)
            current.clear()

    for token in tokens:
        if token.type in _KEYWORDS or (not depth and _begins(token, current)):
            yield from ended()
            depth = 0
            if token.type == "VARIANT":
                variants += 1
                inside = variants
        elif token.type == "RBRACE" and not depth and inside:
            yield from ended()
            inside = 0
            continue
        current.append(token)
        if current[0].type == "VARIANT" and token.type == "LBRACE":
            yield from ended()
        else:
            depth = max(0, depth + (token.type in _OPENERS) - (token.type in _CLOSERS))
    yield from ended()


def _begins(token: Token, before: list[Token]) -> bool:
    """Whether a name begins a line, and what is before it does not go on."""
    if not before or token.type != "NAME":
        return False
    last = before[-1]
    return last.end_line != token.line and last.type not in _GOES_ON


def braces_of(tokens: Iterable[Token], end: int) -> Iterator[Braces]:
    """The braces of the variants among tokens, in order; ``end`` is the text's."""
    number, depth = 0, 0
    head: list[Token] = []
    opened: Token | None = None
    for token in tokens:
        if token.type == "VARIANT":
            if head and opened:
                yield _braces(number, head, opened, token.start_pos or 0)
            number, depth, head, opened = number + 1, 0, [token], None
        elif head and opened is None:
            head.append(token)
            opened = token if token.type == "LBRACE" else None
        elif head:
            depth += (token.type == "LBRACE") - (token.type == "RBRACE")
            if depth < 0 and opened:
                yield _braces(number, head, opened, token.end_pos or 0)
                head, opened, depth = [], None, 0
    if head and opened:
        yield _braces(number, head, opened, end)


def _braces(number: int, head: list[Token], opened: Token, end: int) -> Braces:
    name = next((str(token) for token in head if token.type == "NAME"), "")
    return Braces(number, name, head[0].start_pos or 0, opened.start_pos or 0, end)
