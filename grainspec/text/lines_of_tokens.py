"""The tokens of a text, line by line: no token goes on in the next line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from lark import Lark, Token


class LineOfTokens(NamedTuple):
    """A line's tokens; ``number`` counts lines from 1, ``start`` is the offset of its first."""

    number: int
    start: int
    tokens: tuple[Token, ...]


def tokens_by_line(
    grammar: Lark, text: str, known: Mapping[str, LineOfTokens]
) -> tuple[list[Token], dict[str, LineOfTokens]]:
    """The tokens of a text, and the same by line; those of ``known`` lines are not looked for.

    They are those that ``grammar.lex(text)`` gives.
    """
    written = text.split("\n")
    unknown = dict.fromkeys(line for line in written if line and line not in known)
    found = {**known, **_read(grammar, list(unknown))}
    tokens: list[Token] = []
    lines: dict[str, LineOfTokens] = {}
    start = 0
    for number, line in enumerate(written, 1):
        if line:
            lines[line] = here = _at(found[line], number, start)
            tokens += here.tokens
        start += len(line) + 1
    return tokens, lines


def _read(grammar: Lark, written: list[str]) -> dict[str, LineOfTokens]:
    """The tokens of lines, as one text: making a lexer takes longer than a line."""
    found: dict[int, list[Token]] = {}
    for token in grammar.lex("\n".join(written)):
        found.setdefault(token.line or 1, []).append(token)
    lines: dict[str, LineOfTokens] = {}
    start = 0
    for number, line in enumerate(written, 1):
        lines[line] = LineOfTokens(number, start, tuple(found.get(number, ())))
        start += len(line) + 1
    return lines


def _at(line: LineOfTokens, number: int, start: int) -> LineOfTokens:
    """A line's tokens at another place."""
    by = start - line.start
    if not by and number == line.number:
        return line
    return LineOfTokens(
        number,
        start,
        tuple(
            Token(
                token.type,
                token.value,
                (token.start_pos or 0) + by,
                number,
                token.column,
                number,
                token.end_column,
                (token.end_pos or 0) + by,
            )
            for token in line.tokens
        ),
    )
