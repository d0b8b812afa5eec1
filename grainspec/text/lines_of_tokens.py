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
    tokens: list[Token] = []
    lines: dict[str, LineOfTokens] = {}
    start = 0
    for number, text_of_line in enumerate(text.split("\n"), 1):
        if text_of_line and not text_of_line.isspace():
            line = known.get(text_of_line)
            if line is None:
                line = LineOfTokens(1, 0, tuple(grammar.lex(text_of_line)))
            line = _at(line, number, start)
            lines[text_of_line] = line
            tokens += line.tokens
        start += len(text_of_line) + 1
    return tokens, lines


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
