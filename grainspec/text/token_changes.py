"""Changes of a text at the places of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from lark import Token

from grainspec.text.draft import Change
from grainspec.text.tokens import grammar


@lru_cache(maxsize=4)
def lexed(text: str) -> Sequence[Token]:
    """The tokens of a text; the last few are kept, as many rules read one statement."""
    return tuple(grammar().lex(text))


def offsets(token: Token) -> tuple[int, int]:
    """The start and the end of a token."""
    return token.start_pos or 0, token.end_pos or 0


def replaced(token: Token, text: str) -> Change:
    """The replacement of a token."""
    return Change(*offsets(token), text)


def inserted(offset: int, text: str) -> Change:
    """The insertion of a text."""
    return Change(offset, offset, text)


def removed(text: str, before: Token, sign: Token) -> Change:
    """The removal of a sign, so that a space is left between the words around it."""
    end = offsets(sign)[1]
    space = "" if text[end : end + 1].isspace() else " "
    return Change(offsets(before)[1], end, space)


def is_sign(token: Token, *signs: str) -> bool:
    """Whether a token is one of these signs or words."""
    return str(token) in signs
