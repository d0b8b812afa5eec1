"""Texts in quotes: what they say, and where each character of it stands."""

from __future__ import annotations

from typing import NamedTuple

from lark import Token

_ESCAPES = {"n": "\n", "t": "\t"}


class Quoted(NamedTuple):
    """What a text in quotes says; character ``i`` of it begins at offset ``places[i]``.

    ``places`` has one more: the offset of the closing quote, or of the end if that is missing.
    """

    text: str
    places: tuple[int, ...]
    closed: bool

    @property
    def start(self) -> int:
        """The offset after the opening quote."""
        return self.places[0]

    @property
    def end(self) -> int:
        """The offset before the closing quote."""
        return self.places[-1]

    def before(self, offset: int) -> int:
        """The number of characters that begin before an offset."""
        return sum(place < offset for place in self.places[:-1])


def quoted(token: Token) -> Quoted:
    r"""Read a STRING token, or one that is not closed.

    >>> quoted(Token("STRING", r'"a \"b"', start_pos=10))
    Quoted(text='a "b', places=(11, 12, 13, 15, 16), closed=True)
    """
    start = token.start_pos or 0
    closed = token.type == "STRING"
    written = str(token)[1 : -1 if closed else None]
    text: list[str] = []
    places: list[int] = []
    at = 0
    while at < len(written):
        places.append(start + 1 + at)
        if written[at] == "\\" and at + 1 < len(written):
            at += 1
            text.append(_ESCAPES.get(written[at], written[at]))
        else:
            text.append(written[at])
        at += 1
    places.append(start + 1 + len(written))
    return Quoted("".join(text), tuple(places), closed)
