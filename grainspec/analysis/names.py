"""Where the names of regions and variants stand in a text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from lark import Token

from grainspec.analysis.statements import Written

NameKind = Literal["region", "variant"]

_LISTS = frozenset({"keep", "free", "without"})


class Named(NamedTuple):
    """A name in the text; ``start`` and ``end`` are offsets, ``name`` is in normal form C."""

    kind: NameKind
    name: str
    start: int
    end: int
    defines: bool


def names_in(statements: Iterable[Written]) -> Iterator[Named]:
    """The names of regions and variants, in order.

    >>> from grainspec.analysis.statements import written_statements
    >>> from grainspec.text.tokens import grammar
    >>> tokens = grammar().lex('region a = box(0%, 0%, 9%, 9%) | b  edit a -> "bear"')
    >>> [(one.name, one.defines) for one in names_in(written_statements(tokens, 0)[0])]
    [('a', True), ('b', False), ('a', False)]
    """
    for statement in statements:
        tokens = statement.tokens[1:]
        if statement.keyword in {"region", "variant"}:
            first = tokens[0] if tokens else None
            if first is not None and first.type == "NAME":
                kind: NameKind = "region" if statement.keyword == "region" else "variant"
                yield _named(kind, first, defines=True)
            if statement.keyword == "region":
                yield from _references(_after(tokens, "EQUAL"))
        elif statement.keyword in {"edit", "add"}:
            yield from _references(_before_words(tokens))
        elif statement.keyword in _LISTS:
            yield from _references(tokens)


def _references(tokens: Iterable[Token]) -> Iterator[Named]:
    """The names in a region expression; words inside calls are options."""
    calls: list[bool] = []
    before: Token | None = None
    for token in tokens:
        if before is not None and before.type == "NAME" and token.type != "LPAR" and not any(calls):
            yield _named("region", before)
        if token.type == "LPAR":
            calls.append(before is not None and before.type == "NAME")
        elif token.type == "RPAR" and calls:
            calls.pop()
        before = token
    if before is not None and before.type == "NAME" and not any(calls):
        yield _named("region", before)


def _named(kind: NameKind, token: Token, *, defines: bool = False) -> Named:
    name = unicodedata.normalize("NFC", str(token))
    return Named(kind, name, token.start_pos or 0, token.end_pos or 0, defines)


def _after(tokens: tuple[Token, ...], kind: str) -> tuple[Token, ...]:
    at = next((i for i, token in enumerate(tokens) if token.type == kind), len(tokens))
    return tokens[at + 1 :]


def _before_words(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """The tokens before an edit's arrow, words or braces."""
    stops = {"_ARROW", "STRING", "UNCLOSED", "LBRACE"}
    at = next((i for i, token in enumerate(tokens) if token.type in stops), len(tokens))
    return tokens[:at]
