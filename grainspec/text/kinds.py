"""The kinds of values that settings take: how each is read, written and described.

The field of a setting declares its kind (see :mod:`grainspec.model.declaration`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from lark import Token, Tree

from grainspec.model.algebra import Box, Polygon
from grainspec.model.declaration import Declaration, fields_of
from grainspec.model.expected import limit_text, one_of, range_words
from grainspec.model.layer_numbers import MAX_LAYER, ranges_text
from grainspec.model.numbers import decimal_text, percent_text, share_of_percent
from grainspec.model.settings.values import MAX_LEVEL
from grainspec.model.settings.video import Size
from grainspec.model.shapes import MAX_FRAME, FrameRange, Keyframe, Length, Outline

Word = Token | Tree[Token]
MAX_DIGITS = 30
_ESCAPES = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"})


class Mismatch(Exception):
    """A word is not of the kind that a setting takes; the message is what to write instead."""


# --- reading -------------------------------------------------------------------------------------


def number_of(token: Token) -> float:
    """The value of a NUMBER, PERCENT or PIXELS token; huge ones become infinite."""
    return float(re.sub(r"(%|px)$", "", str(token)))


def integer_of(token: Token) -> int:
    """The value of a NUMBER token without fraction."""
    text = str(token)
    if not re.fullmatch(r"[+-]?\d+", text):
        raise Mismatch
    if len(text) > MAX_DIGITS:
        raise Mismatch
    return int(text)


def _token(terminal: str, read: Callable[[Token], Any]) -> Callable[[Word], Any]:
    """A reader of one kind of token."""

    def reader(word: Word) -> Any:
        if not isinstance(word, Token) or word.type != terminal:
            raise Mismatch
        return read(word)

    return reader


def _whole(digits: str) -> int:
    """A whole number; digits of numbers that exceed every range may be cut."""
    sign = -1 if digits.startswith("-") else 1
    return sign * int(digits.lstrip("-0")[:MAX_DIGITS] or "0")


def _range(token: Token) -> FrameRange:
    first, last = map(_whole, str(token).split(".."))
    return FrameRange(first=first, last=last)


def _size(token: Token) -> Size:
    width, height = map(_whole, str(token).split("x"))
    return Size(width=width, height=height)


def _plain(word: Word) -> str:
    if not isinstance(word, Token):
        raise Mismatch
    return str(word)


def _numbers(most: int) -> Callable[[Word], Any]:
    """A reader of ``all``, a number or a range of numbers from 0 to ``most``."""

    def reader(word: Word) -> Any:
        if isinstance(word, Tree) and word.data == "all":
            return "all"
        if isinstance(word, Token) and word.type == "RANGE":
            first, last = map(_whole, str(word).split(".."))
            if last < first:
                raise Mismatch(f"Write `{last}..{first}`.")
            if first < 0 or last > most:
                return (first if first < 0 else last,)  # out of range: the model reports it once
            return tuple(range(first, last + 1))
        if isinstance(word, Token) and word.type == "NUMBER":
            return (integer_of(word),)
        raise Mismatch

    return reader


def _length(word: Word) -> Length:
    if not isinstance(word, Token) or word.type not in {"PERCENT", "PIXELS"}:
        raise Mismatch
    unit = "%" if word.type == "PERCENT" else "px"
    return Length.model_validate({"value": number_of(word), "unit": unit})


def _call(word: Word) -> Tree[Token]:
    if not isinstance(word, Tree) or word.data != "call":
        raise Mismatch
    return word


# --- writing -------------------------------------------------------------------------------------


def quoted(text: str) -> str:
    """A text as a STRING of the language."""
    return '"' + text.translate(_ESCAPES) + '"'


def range_text(frames: FrameRange) -> str:
    """A range of frames, such as ``0..30``."""
    return f"{frames.first}..{frames.last}"


def shape_text(shape: Box | Polygon) -> str:
    """A shape with its keyframes, such as ``box(…) @ 0, box(…) @ 30``."""
    return ", ".join(
        f"{shape.kind}({_inside(key)}){'' if key.frame is None else f' @ {key.frame}'}"
        for key in shape.keyframes
    )


def _inside(key: Keyframe | Outline) -> str:
    """The text between a shape's parentheses."""
    if isinstance(key, Keyframe):
        return f"{key.x0}, {key.y0}, {key.x1}, {key.y1}"
    return ", ".join(f"{point.x} {point.y}" for point in key.points)


def _levels_text(levels: str | tuple[int, ...]) -> str:
    return levels if isinstance(levels, str) else " ".join(map(str, levels))


def _layers_text(layers: str | tuple[int, ...]) -> str:
    return layers if isinstance(layers, str) else ranges_text(layers)


# --- the kinds -----------------------------------------------------------------------------------


class Kind(NamedTuple):
    """A kind of value. In ``expected`` and ``values``, ``{range}`` is the setting's range."""

    read: Callable[[Word], Any]
    write: Callable[[Any], str]
    expected: str
    """What errors say that it takes."""
    values: str
    """What the reference says it takes."""
    python: str
    """Its type in the builder."""
    many: bool = False
    """Whether it takes all the words up to the next setting."""


_SIDES = range_words(fields_of(Size)["width"])

KINDS = {
    "whole": Kind(
        read=_token("NUMBER", integer_of),
        write=str,
        expected="a whole number{range}",
        values="whole number{range}",
        python="int",
    ),
    "decimal": Kind(
        read=_token("NUMBER", number_of),
        write=decimal_text,
        expected="a number{range}",
        values="number{range}",
        python="float",
    ),
    "percent": Kind(
        read=_token("PERCENT", share_of_percent),
        write=percent_text,
        expected="a percentage{range}",
        values="percentage{range}",
        python="float",
    ),
    "choice": Kind(
        read=_plain, write=str, expected="{choices}", values="{choices}", python="{literal}"
    ),
    "text": Kind(
        read=_token("STRING", lambda token: token),
        write=quoted,
        expected="a text in quotes",
        values="text in quotes",
        python="str",
    ),
    "path": Kind(
        read=_token("STRING", lambda token: token),
        write=quoted,
        expected="a path in quotes",
        values="path in quotes",
        python="str | PurePath",
    ),
    "frames": Kind(
        read=_token("RANGE", _range),
        write=range_text,
        expected=f"the first and the last frame, from 0 to {MAX_FRAME}, such as `0..30`",
        values="`0..30`",
        python="tuple[int, int]",
    ),
    "size": Kind(
        read=_token("SIZE", _size),
        write=lambda size: f"{size.width}x{size.height}",
        expected=f"width and height{_SIDES}, such as `512x512`",
        values="`512x512`",
        python="tuple[int, int]",
    ),
    "length": Kind(
        read=_length,
        write=str,
        expected="source pixels or percent of the frame's shorter side, such as `12px` or `2%`",
        values="`12px`, `2%`",
        python="str",
    ),
    "box": Kind(
        read=_call,
        write=shape_text,
        expected="a box, such as `box(10%, 0%, 90%, 100%)`",
        values="`box(10%, 0%, 90%, 100%)`",
        python="Box",
    ),
    "levels": Kind(
        read=_numbers(MAX_LEVEL),
        write=_levels_text,
        expected="`all`, or level numbers{range}, such as `1 2` or `1..3`",
        values="`all`, `1 2`, `1..3`",
        python='Sequence[int] | Literal["all"]',
        many=True,
    ),
    "layers": Kind(
        read=_numbers(MAX_LAYER),
        write=_layers_text,
        expected="`all`, or numbers of transformer blocks{range}, such as `0..9` or `0 5 10..19`",
        values="`all`, `0..9`, `0 5 10..19`",
        python='Sequence[int] | Literal["all"]',
        many=True,
    ),
    "flag": Kind(
        read=_plain, write=lambda value: "", expected="", values="no value", python="bool"
    ),
}
"""Every kind by its name, which is the value of :attr:`Declaration.kind`."""


def read_value(word: Word, declaration: Declaration) -> Any:
    """A word as a value of a setting; raises Mismatch for one of another kind."""
    value = KINDS[declaration.kind].read(word)
    if declaration.choices and value not in declaration.choices:
        raise Mismatch
    return value


def expected_value(declaration: Declaration) -> str:
    """What a setting takes, for errors.

    >>> from grainspec.model.declaration import settings_of
    >>> from grainspec.model.settings.sampler import Sampler
    >>> expected_value(settings_of(Sampler)["steps"])
    'a whole number from 1 to 1000'
    """
    return KINDS[declaration.kind].expected.format(
        range=range_words(declaration, _shown_as(declaration)), choices=one_of(declaration.choices)
    )


def values_text(declaration: Declaration) -> str:
    """What a setting takes, for the reference."""
    limits = ""
    if declaration.low is not None and declaration.high is not None:
        show = _shown_as(declaration)
        low, high = limit_text(declaration.low, show), limit_text(declaration.high, show)
        limits = f", more than {low}, at most {high}" if declaration.above else f", {low} to {high}"
    listed = ", ".join(f"`{choice}`" for choice in declaration.choices)
    return KINDS[declaration.kind].values.format(range=limits, choices=listed)


def _shown_as(declaration: Declaration) -> Callable[[float], str]:
    """How the limits of a setting are written."""
    return percent_text if declaration.kind == "percent" else decimal_text
