"""Boxes, ellipses, polygons and points: from a parse tree to the records of a spec."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from lark import Token, Tree

from grainspec.diagnostics import Diagnostic, Fix
from grainspec.diagnostics.span import Span
from grainspec.model.algebra import Box, Polygon
from grainspec.model.declaration import Declaration, fields_of
from grainspec.model.numbers import percent_text
from grainspec.model.shapes import Keyframe, Length, Outline, Point
from grainspec.model.validation import short
from grainspec.text.kinds import Word, number_of
from grainspec.text.records import RecordReader, token_of
from grainspec.text.settings import Setting, read_settings, value_of, word_span, words_text
from grainspec.text.spans import span_of

SHAPES = ("box", "ellipse", "polygon")
_LENGTHS = "percent of the frame, such as `61%`, or source pixels, such as `40px`"


class ShapeReader(RecordReader):
    """Reads shapes, and settings, among which is the box of `crop`."""

    def settings(
        self,
        block: Tree[Token] | None,
        known: dict[str, Declaration],
        elsewhere: Mapping[str, str] = MappingProxyType({}),
    ) -> dict[str, Setting]:
        """A block's settings by the keys of its model; mistakes become findings."""
        read = read_settings(block, known, self.findings, elsewhere)
        resolved = {key: self.resolved(setting) for key, setting in read.items()}
        return {key: setting for key, setting in resolved.items() if setting is not None}

    def resolved(self, setting: Setting) -> Setting | None:
        """A setting with its final value: a text for a STRING token, a box for a call."""
        if isinstance(setting.value, Token):
            read = self.path if setting.kind == "path" else self.string
            return replace(setting, value=read(setting.value))
        if isinstance(setting.value, Tree):
            box = self._box(setting.value, setting.span)
            place = box.span or setting.span if box is not None else setting.span
            return replace(setting, value=box, span=place) if box is not None else None
        return setting

    def _box(self, call: Tree[Token], span: Span) -> Box | None:
        """A box in a setting; no other region is allowed there."""
        name = token_of(call.children[0])
        if str(name) != "box":
            cure = "Write `box(10%, 0%, 90%, 100%)`."
            self.add_finding("G205", f"`{name}` is not a box", cure, span_of(name))
            return None
        box = self.shape([(None, call)], span)
        return box if isinstance(box, Box) else None

    def shape(
        self, keyed: list[tuple[Token | None, Tree[Token]]], span: Span
    ) -> Box | Polygon | None:
        """A box, ellipse or polygon from its keyframes; the frame is None if it does not move."""
        kind = str(keyed[0][1].children[0])
        keys = []
        for frame, call in keyed:
            name = token_of(call.children[0])
            if str(name) not in SHAPES:
                message = f"`{name}` cannot have keyframes"
                cure = f"Only {', '.join(f'`{shape}(…) @ frame`' for shape in SHAPES)} can."
                if str(name) == "masks":
                    cure += f" To follow the object of one mask, write `track(masks(…) @ {frame})`."
                self.add_finding("G205", message, cure, span_of(name))
                return None
            if str(name) != kind:
                message = f"a `{name}` among the keyframes of a `{kind}`"
                self.add_finding("G205", message, "Use one shape for all keyframes.", span_of(name))
                return None
            number = self.frame(frame)
            if self.has_frame_inside(call):
                return None
            points = self._points(call) if kind == "polygon" else self._sides(call)
            if points is None or (frame is not None and number is None):
                return None
            model = Outline if kind == "polygon" else Keyframe
            where = span_of(frame) if frame else word_span(call)
            key = self.make(model, where, {"frame": number} if number else {}, **points)
            if key is None:
                return None
            keys.append(key)
        if kind == "polygon":
            return self.make(Polygon, span, {}, keyframes=tuple(keys))
        return self.make(Box, span, {}, kind=kind, keyframes=tuple(keys))

    def has_frame_inside(self, call: Tree[Token]) -> bool:
        """Whether `@ frame` is inside a call and not after it, which becomes a finding."""
        for part in call.children[1:]:
            last = part.children[-1] if isinstance(part, Tree) else part
            if isinstance(last, Tree) and last.data == "at":
                name, written = call.children[0], words_text([last])
                message = f"`{written}` goes after the brackets of `{name}(…)`"
                cure = f"Write `{name}(…) {written}`."
                self.add_finding("G205", message, cure, word_span(last))
                return True
        return False

    def frame(self, frame: Token | None) -> Setting | None:
        """The number of a source frame after `@`."""
        if frame is None:
            return None
        read = value_of([frame], "frame", fields_of(Keyframe)["frame"])
        if isinstance(read, Setting):
            return read
        self.findings.append(read)
        return None

    def _sides(self, call: Tree[Token]) -> dict[str, Any] | None:
        """The four sides of a box or an ellipse."""
        name, *arguments = call.children
        if any(isinstance(given, Tree) and len(given.children) > 1 for given in arguments):
            cure = f"Write `{name}(10%, 20%, 30%, 60%)`."
            where = word_span(call)
            self.add_finding("G205", "missing commas between the sides", cure, where)
            return None
        if len(arguments) != 4:
            where = word_span(call)
            cure = f"Give left, top, right and bottom: `{name}(10%, 20%, 30%, 60%)`."
            which = "a box" if str(name) == "box" else "an ellipse"
            self.add_finding("G205", f"{which} has 4 sides; this has {len(arguments)}", cure, where)
            return None
        shares = as_shares(arguments, "sides", each=1)
        if shares:
            self.findings.append(shares)
            return None
        corners = []
        for argument in arguments:
            corners.append(self.length(argument))
            if corners[-1] is None:
                return None  # one finding is enough: the others would be of the same kind
        return dict(zip(("x0", "y0", "x1", "y1"), corners, strict=True))

    def _points(self, call: Tree[Token]) -> dict[str, Any] | None:
        """The points of a polygon."""
        shares = as_shares(call.children[1:], "points", each=2)
        if shares:
            self.findings.append(shares)
            return None
        points = []
        for argument in call.children[1:]:
            words = argument.children if isinstance(argument, Tree) else [argument]
            where = word_span(words[0])
            if len(words) != 2:
                cure = "Give x and y of each: `polygon(50% 10%, 70% 40%, 30% 40%)`."
                self.add_finding("G205", "a point needs two lengths", cure, where)
                return None
            x, y = (self.word_length(word) for word in words)
            if x is None or y is None:
                return None
            points.append(self.make(Point, where, {}, x=x, y=y))
        if len(points) < 3:
            cure = "Give x and y of each: `polygon(50% 10%, 70% 40%, 30% 40%)`."
            message = f"a polygon has at least 3 points; this has {len(points)}"
            self.add_finding("G205", message, cure, word_span(call))
            return None
        return {"points": tuple(points)}

    def length(self, argument: Tree[Token] | Token) -> Length | None:
        """A length, as the only word of an argument."""
        words = argument.children if isinstance(argument, Tree) else [argument]
        if len(words) == 1:
            return self.word_length(words[0])
        self.add_finding("G202", _invalid_length(words), "", word_span(words[0]))
        return None

    def word_length(self, word: Tree[Token] | Token) -> Length | None:
        """A percentage or a number of pixels."""
        where = word_span(word)
        if isinstance(word, Token) and word.type in {"PERCENT", "PIXELS"}:
            unit = "%" if word.type == "PERCENT" else "px"
            value = Setting(number_of(word), where, "length", str(word))
            return self.make(Length, where, {"value": value}, unit=unit)
        number = isinstance(word, Token) and word.type == "NUMBER"
        cure = f"Write `{word}%` or `{word}px`." if number else ""
        self.add_finding("G202", _invalid_length([word]), cure, where)
        return None


def as_shares(
    arguments: Sequence[Tree[Token] | Token], what: str, *, each: int
) -> Diagnostic | None:
    """A finding about sides or points that are all written as shares of the frame.

    Shares are from 0 to 1, or a little outside the frame. ``each`` is the number of lengths in an
    argument.
    """
    groups = [part.children if isinstance(part, Tree) else [part] for part in arguments]
    words = [word for group in groups for word in group]
    numbers = [word for word in words if isinstance(word, Token) and word.type == "NUMBER"]
    if len(numbers) < len(words) or not all(len(group) == each for group in groups):
        return None
    values = [number_of(number) for number in numbers]
    if not values or not all(-0.5 <= value <= 1.5 for value in values):
        return None
    percents = [percent_text(value) for value in values]
    fixes = [Fix(span_of(number), text) for number, text in zip(numbers, percents, strict=True)]
    written = _grouped(list(map(str, numbers)), each)
    message = f"the {what} are written as shares of the frame: `{written}`"
    cure = f"Write them in percent: `{_grouped(percents, each)}`."
    place = span_of(numbers[0]).to(span_of(numbers[-1]))
    return Diagnostic("G202", message, cure, place, tuple(fixes))


def _grouped(texts: list[str], each: int) -> str:
    """Lengths as the arguments of a shape, ``each`` in one."""
    return ", ".join(" ".join(texts[at : at + each]) for at in range(0, len(texts), each))


def _invalid_length(words: Iterable[Word]) -> str:
    """The message about words that are not a length."""
    return f"invalid length `{short(words_text(words))}`: {_LENGTHS}"
