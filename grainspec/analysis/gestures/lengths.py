"""Positions in the picture as lengths of the language, in the unit that the user writes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Protocol

from lark import Token

from grainspec.analysis.edits import TextEdit
from grainspec.diagnostics import fail
from grainspec.model.numbers import decimal_text
from grainspec.text.kinds import number_of

_DIGITS = {"%": 1, "px": 0}
"""Decimals that are written: a tenth of a percent is two pixels of a frame 1920 pixels wide."""

Share = float
"""A position as a share of the source frame's width or height, from 0 to 1 inside the frame."""


class Extent(Protocol):
    """The source clip's size in pixels and its number of frames, as ``ClipFacts`` has them."""

    @property
    def width(self) -> int:
        """Width in pixels."""
        ...

    @property
    def height(self) -> int:
        """Height in pixels."""
        ...

    @property
    def frames(self) -> int:
        """The number of frames."""
        ...


def sides_of(extent: Extent | None) -> tuple[int, int] | None:
    """Width and height in pixels, if they are known."""
    return (extent.width, extent.height) if extent else None


def unit_of(token: Token) -> str:
    """The unit of a PERCENT or PIXELS token."""
    return "%" if token.type == "PERCENT" else "px"


def lengths(shares: Sequence[Share], units: Sequence[str], extent: Extent | None) -> list[str]:
    """x and y in turn as lengths, each in its unit; raises GrainError (G715) without a size.

    >>> lengths([0.3, 0.5557], ["%", "%"], None)
    ['30%', '55.6%']
    """
    written = zip(_values(shares, units, extent), units, strict=False)
    return [decimal_text(round(value, _DIGITS[unit]) + 0.0) + unit for value, unit in written]


def length_edits(
    tokens: Sequence[Token], shares: Sequence[Share], extent: Extent | None
) -> list[TextEdit]:
    """Write x and y in turn over lengths, in their units; what does not move stays as it is."""
    units = [unit_of(token) for token in tokens]
    values = _values(shares, units, extent)
    texts = lengths(shares, units, extent)
    return [
        TextEdit(token.start_pos or 0, token.end_pos or 0, text)
        for token, unit, value, text in zip(tokens, units, values, texts, strict=True)
        if abs(value - number_of(token)) > 0.5 * 10 ** -_DIGITS[unit] + 1e-9
    ]


def _values(shares: Sequence[Share], units: Sequence[str], extent: Extent | None) -> list[float]:
    """The numbers before the units."""
    size, values = sides_of(extent), []
    for share, unit, axis in zip(shares, units, cycle((0, 1)), strict=False):
        if unit == "px" and size is None:
            message = "the spec has lengths in pixels, and the size of its clip is not known"
            raise fail(
                "G715", message, "Correct the path of the clip, or write lengths in percent."
            )
        values.append(share * (100 if size is None or unit == "%" else size[axis]))
    return values
