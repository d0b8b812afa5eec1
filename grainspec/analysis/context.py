"""Where an offset is: in which statement, which brackets, which text, after which words."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple

from lark import Token

from grainspec.analysis.document import Document
from grainspec.analysis.statements import GOES_ON, Written

_WORD = re.compile(r"[^\W\d][\w\u0300-\u036f]*\Z")
_WORD_AFTER = re.compile(r"[\w\u0300-\u036f]*")


class Context(NamedTuple):
    """The surroundings of an offset.

    ``before`` are the tokens of the statement before the word that is being typed, which stands
    from ``start`` to ``end``. ``brackets`` are the open ones, outermost first, each with the name
    of its call, `{`, or `(` for a group. ``text`` is the text in quotes that the offset is in.
    """

    statement: Written | None
    before: tuple[Token, ...]
    start: int
    end: int
    brackets: tuple[tuple[str, int], ...]
    text: Token | None
    comment: bool
    variant: int
    fresh: bool
    """Whether a new statement may begin here: the last one is complete, or on an earlier line."""
    below: bool
    """Whether a new statement may begin here, and the last one is on an earlier line."""

    @property
    def call(self) -> str:
        """The innermost open bracket: a call's name, `{`, `(`, or nothing."""
        return self.brackets[-1][0] if self.brackets else ""

    @property
    def inside(self) -> tuple[Token, ...]:
        """The tokens before the word, after the innermost open bracket."""
        return self.before[self.brackets[-1][1] :] if self.brackets else self.before


def token_at(document: Document, offset: int) -> Token | None:
    """The token that an offset touches; of two, the one that begins there."""
    tokens = document.tokens
    at = bisect_right(tokens, offset, key=lambda token: token.start_pos or 0) - 1
    if at < 0:
        return None
    token = tokens[at]
    if offset < (token.end_pos or 0):
        if offset == token.start_pos and token.type not in {"NAME", "STRING"} and at:
            before = tokens[at - 1]
            if before.end_pos == offset and before.type == "NAME":
                return before
        return token
    return token if offset == token.end_pos else None


def statement_at(document: Document, offset: int) -> Written | None:
    """The statement that an offset is in, or after."""
    statements = document.statements
    at = bisect_right(statements, offset, key=lambda statement: statement.start) - 1
    return statements[at] if at >= 0 else None


def context_at(document: Document, offset: int) -> Context:
    """The surroundings of an offset.

    >>> document = Document('sampler ddim { steps 30 gui', None)
    >>> context = context_at(document, 27)
    >>> context.call, [str(token) for token in context.inside], context.start
    ('{', ['steps', '30'], 24)
    """
    plain = document.plain
    match = _WORD.search(plain, max(0, offset - 200), offset)
    start = match.start() if match else offset
    after = _WORD_AFTER.match(plain, offset)
    end = after.end() if after else offset
    variant = next((one.number for one in document.variants if one.hold(offset)), 0)
    statement = statement_at(document, start)
    if statement is not None and statement.start == start and start == offset:
        # Before a statement: after the one that precedes it, if any.
        statement = statement_at(document, start - 1) if start else None
    text = _text_at(document, offset)
    if text is not None:
        start = text.start_pos or 0
        statement = statement_at(document, start)
    tokens = statement.tokens if statement else ()
    before = tuple(token for token in tokens if (token.end_pos or 0) <= start)
    if statement is not None and variant != statement.variant:
        before, statement = (), None  # after the end of a variant
    fresh, below = _fresh(document, before, start)
    return Context(
        statement=statement,
        before=before,
        start=start,
        end=end,
        brackets=_open(before),
        text=text,
        comment=_in_comment(document, offset),
        variant=variant,
        fresh=fresh,
        below=below,
    )


def _text_at(document: Document, offset: int) -> Token | None:
    """The text in quotes that an offset is in, after its opening quote."""
    tokens = document.tokens
    at = bisect_right(tokens, offset - 1, key=lambda token: token.start_pos or 0) - 1
    if at < 0 or tokens[at].type not in {"STRING", "UNCLOSED"}:
        return None
    token = tokens[at]
    end = (token.end_pos or 0) - (token.type == "STRING")
    return token if (token.start_pos or 0) < offset <= end else None


def _in_comment(document: Document, offset: int) -> bool:
    """Whether an offset is after a `#` that is in no text."""
    plain = document.plain
    line = plain.rfind("\n", 0, offset) + 1
    at = bisect_right(document.tokens, offset - 1, key=lambda token: token.start_pos or 0) - 1
    after = document.tokens[at].end_pos or 0 if at >= 0 else 0
    return after <= offset and "#" in plain[max(line, after) : offset]


def _open(tokens: tuple[Token, ...]) -> tuple[tuple[str, int], ...]:
    """The open brackets, each with the index of the token after it."""
    found: list[tuple[str, int]] = []
    for index, token in enumerate(tokens):
        if token.type == "LBRACE":
            found.append(("{", index + 1))
        elif token.type == "LPAR":
            name = tokens[index - 1] if index else None
            called = name is not None and name.type == "NAME"
            found.append((str(name) if called else "(", index + 1))
        elif token.type in {"RPAR", "RBRACE"} and found:
            found.pop()
    return tuple(found)


def _fresh(document: Document, before: tuple[Token, ...], start: int) -> tuple[bool, bool]:
    """Whether a new statement may begin here, and whether it does so on a line below."""
    if not before:
        return True, False
    last = before[-1]
    if last.type == "LBRACE" and before[0].type == "VARIANT":
        return True, False
    if _open(before) or last.type in GOES_ON:
        return False, False
    below = "\n" in document.plain[last.end_pos or 0 : start]
    return below or last.type in {"STRING", "RBRACE"}, below
