"""What may stand in a block `{ … }`: each setting's name and the kind of its value."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from lark import Token, Tree
from pydantic import ValidationError

from grainspec.diagnostics import Diagnostic, suggestion
from grainspec.diagnostics.span import Span
from grainspec.model.expressions import FrameRange, Length, ResizeRule
from grainspec.model.numbers import share_of_percent
from grainspec.model.spec import (
    MAX_LEVEL,
    BlendSpace,
    FlowMethod,
    FrameScope,
    NormScope,
    PhraseContext,
    Profile,
    Size,
)
from grainspec.model.validation import findings_of
from grainspec.text.tokens import span_of

Word = Token | Tree[Token]
MAX_DIGITS = 30


class Mismatch(Exception):
    """A word is not of the kind that a setting wants; the message says how it should look."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: how to ask for it, and how to read it from a word."""

    expected: str
    read: Callable[[Word], Any]
    many: bool = False
    """Takes all the words up to the next setting."""


def number_of(token: Token) -> float:
    """The value of a NUMBER, PERCENT or PIXELS token; huge ones become infinite."""
    return float(re.sub(r"(%|px)$", "", str(token)))


def integer_of(token: Token) -> int:
    """The value of a NUMBER token without fraction."""
    text = str(token)
    if not re.fullmatch(r"[+-]?\d+", text):
        raise Mismatch
    if len(text) > MAX_DIGITS:
        raise Mismatch("a number of at most 30 digits")
    return int(text)


def _typed(terminal: str, read: Callable[[Token], Any]) -> Callable[[Word], Any]:
    def reader(word: Word) -> Any:
        if not isinstance(word, Token) or word.type != terminal:
            raise Mismatch
        return read(word)

    return reader


def _whole(digits: str) -> int:
    """A whole number; one beyond all ranges may lose digits, but stays beyond them."""
    sign = -1 if digits.startswith("-") else 1
    return sign * int(digits.lstrip("-0")[:MAX_DIGITS] or "0")


def _range(token: Token) -> FrameRange:
    first, last = map(_whole, str(token).split(".."))
    return FrameRange(first=first, last=last)


def _size(token: Token) -> Size:
    width, height = map(_whole, str(token).split("x"))
    return Size(width=width, height=height)


def _choice(options: Sequence[str]) -> Kind:
    def read(word: Word) -> str:
        if not isinstance(word, Token) or str(word) not in options:
            raise Mismatch
        return str(word)

    return Kind("one of " + ", ".join(f"`{option}`" for option in options), read)


def _levels(word: Word) -> Any:
    if isinstance(word, Tree) and word.data == "all":
        return "all"
    if isinstance(word, Token) and word.type == "RANGE":
        first, last = map(_whole, str(word).split(".."))
        if last < first:
            raise Mismatch(f"the lower level first, as `{last}..{first}`")
        if first < 0 or last > MAX_LEVEL:
            return (first if first < 0 else last,)  # which the model refuses, once
        return tuple(range(first, last + 1))
    if isinstance(word, Token) and word.type == "NUMBER":
        return (integer_of(word),)
    raise Mismatch


def _length(word: Word) -> Length:
    if not isinstance(word, Token) or word.type not in {"PERCENT", "PIXELS"}:
        raise Mismatch
    unit = "%" if word.type == "PERCENT" else "px"
    return Length.model_validate({"value": number_of(word), "unit": unit})


def _call(word: Word) -> Tree[Token]:
    if not isinstance(word, Tree) or word.data != "call":
        raise Mismatch
    return word


INTEGER = Kind("a whole number", _typed("NUMBER", integer_of))
DECIMAL = Kind("a plain number, as `0.5`", _typed("NUMBER", number_of))
PERCENT = Kind("a percentage, as `30%`", _typed("PERCENT", share_of_percent))
RANGE = Kind("a range of frames, first and last, as `0..30`", _typed("RANGE", _range))
TEXT = Kind("a text in quotes", _typed("STRING", lambda token: token))
SIZE = Kind("a size, width by height, as `512x512`", _typed("SIZE", _size))
LENGTH = Kind(
    "a length in source pixels or percent of the frame's shorter side, as `12px`", _length
)
BOX = Kind("a box, as `box(10%, 0%, 90%, 100%)`", _call)
LEVELS = Kind("`all`, or levels by number, 0 the finest, as `1 2` or `1..3`", _levels, many=True)

VIDEO = {"frames": RANGE, "step": INTEGER, "size": SIZE, "crop": BOX}
EDIT = {"weight": DECIMAL, "repel": DECIMAL}
PROFILE = _choice(get_args(Profile))
ATTENTION = {
    "cross": DECIMAL,
    "self": DECIMAL,
    "frames": _choice(get_args(FrameScope)),
    "norm": _choice(get_args(NormScope)),
    "until": PERCENT,
    "until_timestep": DECIMAL,
    "decay": DECIMAL,
    "levels": LEVELS,
    "phrases": _choice(get_args(PhraseContext)),
    "unbound": DECIMAL,
    "resize": _choice(get_args(ResizeRule)),
    "threshold": PERCENT,
}
FLOW = {"levels": LEVELS, "method": _choice(get_args(FlowMethod)), "weights": TEXT}
INJECT = {
    "features": PERCENT,
    "self": PERCENT,
    "feature_levels": LEVELS,
    "self_levels": LEVELS,
}
CONTEXT = {"frames": INTEGER, "overlap": INTEGER, "keys": INTEGER}
MASKS = {
    "threshold": PERCENT,
    "index": INTEGER,
    "colour": TEXT,
    "array": TEXT,
    "from": INTEGER,
    "resize": _choice(get_args(ResizeRule)),
}
MASK_FLAGS = ("invert", "in_order", "scaled")
SAMPLER = {"steps": INTEGER, "guidance": DECIMAL, "eta": DECIMAL, "seed": INTEGER}
CONTROL = {
    "net": TEXT,
    "annotator": TEXT,
    "clip": TEXT,
    "scale": DECIMAL,
    "from": PERCENT,
    "until": PERCENT,
}
BLEND = {"space": _choice(get_args(BlendSpace)), "feather": LENGTH}


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting's value and where it stands."""

    value: Any
    span: Span


def word_span(word: Word) -> Span:
    """Where a word of a block stands."""
    if isinstance(word, Token):
        return span_of(word)
    meta = word.meta
    return Span(meta.line, meta.column, meta.end_line, meta.end_column)


def read_settings(
    block: Tree[Token] | None, known: dict[str, Kind], findings: list[Diagnostic]
) -> dict[str, Setting]:
    """Read a block's words as ``known`` settings; mistakes become findings and are left out."""
    words: list[Word] = list(block.children) if block else []
    found: dict[str, Setting] = {}
    position = 0

    def at_setting(index: int) -> bool:
        word = words[index]
        return isinstance(word, Token) and word.type == "NAME" and str(word) in known

    while position < len(words):
        key = words[position]
        span = word_span(key)
        position += 1
        if not isinstance(key, Token) or str(key) not in known:
            shown = str(key) if isinstance(key, Token) else "this"
            message = f"`{shown}` is no setting of this block"
            cure = suggestion(shown, known)
            findings.append(Diagnostic("G201", message, cure, span))
            while position < len(words) and not at_setting(position):
                position += 1
            continue
        name, kind = str(key), known[str(key)]
        end = position
        while end < len(words) and (kind.many or end == position):
            if at_setting(end) and not _reads(kind, words[end]):
                break
            end += 1
        values, position = words[position:end], end
        if not values:
            message = f"`{name}` has no value"
            findings.append(Diagnostic("G204", message, f"Expected {kind.expected}.", span))
            continue
        where = word_span(values[0]).to(word_span(values[-1]))
        if name in found:
            message = f"`{name}` is given twice"
            findings.append(Diagnostic("G204", message, "Leave one of them.", span))
            continue
        try:
            value = _join(kind, [kind.read(word) for word in values])
        except Mismatch as mismatch:
            expected = str(mismatch) or kind.expected
            message = f"this is no value for `{name}`"
            findings.append(Diagnostic("G202", message, f"Expected {expected}.", where))
        except ValidationError as error:
            findings += findings_of(error, None, lambda _, at=where: at, what=name)  # type: ignore[misc]
        else:
            found[name] = Setting(value, where)
    return found


def _reads(kind: Kind, word: Word) -> bool:
    try:
        kind.read(word)
    except Mismatch:
        return False
    except ValidationError:
        return True
    return True


def _join(kind: Kind, values: list[Any]) -> Any:
    if not kind.many:
        return values[0]
    if "all" in values:
        if len(values) > 1:
            raise Mismatch
        return "all"
    return tuple(level for part in values for level in part)
