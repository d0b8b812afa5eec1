"""Region expressions: from a parse tree to the spec's own records."""

from __future__ import annotations

import re
from typing import Any

from lark import Token, Tree
from pydantic import ValidationError

from grainspec.diagnostics import Diagnostic, closest, suggestion
from grainspec.diagnostics.span import Span
from grainspec.model.expressions import (
    ALL,
    Box,
    Complement,
    Difference,
    During,
    Expression,
    Grown,
    Intersection,
    Keyframe,
    Length,
    MaskFiles,
    Outline,
    Point,
    Polygon,
    Reference,
    Rest,
    Union,
)
from grainspec.model.nodes import Node
from grainspec.model.validation import findings_of
from grainspec.text import settings
from grainspec.text.settings import Mismatch, Setting, integer_of, number_of
from grainspec.text.tokens import span_of

_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}
_SHAPES = ("box", "ellipse", "polygon")
_SOURCES = ("masks", *_SHAPES)
_LENGTHS = "Write percent of the frame, as `61%`, or pixels, as `40px`."


class RegionReader:
    """Reads expressions; mistakes become findings, and what they are in becomes None."""

    def __init__(self) -> None:
        self.findings: list[Diagnostic] = []

    def report(self, code: str, message: str, cure: str, span: Span | None) -> None:
        """Note a mistake."""
        self.findings.append(Diagnostic(code, message, cure, span))

    def make(
        self, model: type[Any], span: Span, given: dict[str, Setting], **fields: Any
    ) -> Any | None:
        """Build a node; what its model refuses becomes findings at the settings at fault.

        Settings with refused values are then left out, so that the rest can still be checked.
        """
        values = {name: setting.value for name, setting in given.items()}
        spans = {name: setting.span for name, setting in given.items()}
        try:
            node: Node = model(**values, **fields)
        except ValidationError as error:
            self.findings += findings_of(
                error,
                model,
                lambda path: spans.get(str(path[0]), span) if path else span,
            )
            refused = {str(detail["loc"][0]) for detail in error.errors() if detail["loc"]}
            if not refused or not refused <= set(given):
                return None
            good = {name: value for name, value in values.items() if name not in refused}
            try:
                node = model(**good, **fields)
            except ValidationError:
                return None
        return node.located(span, **spans)

    def string(self, token: Token) -> str:
        """What a STRING says: without its quotes, with its escapes resolved."""

        def unescape(match: re.Match[str]) -> str:
            if match[1] not in _ESCAPES:
                self.report(
                    "G003",
                    f"`\\{match[1]}` means nothing in a text",
                    r"There are `\"`, `\\`, `\n` and `\t`.",
                    span_of(token),
                )
            return _ESCAPES.get(match[1], match[1])

        return re.sub(r"\\(.)", unescape, str(token)[1:-1], flags=re.DOTALL)

    def expression(self, part: Tree[Token] | Token) -> Expression | None:
        """A region expression."""
        if not isinstance(part, Tree):
            raise TypeError(part)
        kind = str(part.data)
        span = settings.word_span(part)
        if kind == "rest":
            return Rest()
        if kind == "all":
            return ALL
        if kind == "reference":
            name = token_of(part.children[0])
            where = span_of(name)
            return self.make(Reference, where, {"name": Setting(str(name), where)})
        if kind == "call":
            return self._source(part)
        if kind == "keyframes":
            shapes: list[tuple[Token | None, Tree[Token]]] = []
            for keyframe in part.children:
                call, frame = keyframe.children  # type: ignore[union-attr]
                shapes.append((token_of(frame), call))  # type: ignore[arg-type]
            return self.shape(shapes, span)
        if kind in {"grown", "during"}:
            return self._modified(part, span)
        operands = [self.expression(child) for child in part.children]
        items = tuple(operand for operand in operands if operand is not None)
        if len(items) < len(operands):
            return None
        if kind == "complement":
            return Complement(of=items[0]).located(span)
        if kind == "union":
            return Union(items=items).located(span)
        if kind == "intersection":
            return Intersection(items=items).located(span)
        return Difference(items=items).located(span)

    def _modified(self, part: Tree[Token], span: Span) -> Expression | None:
        """What stands behind a region: grown, shrunk, or on some frames only."""
        of = self.expression(part.children[0])
        if of is None:
            return None
        if str(part.data) == "grown":
            kind, by = (token_of(child) for child in part.children[1:])
            length = self._word_length(by)
            if length is None:
                return None
            return self.make(Grown, span, {}, kind=str(kind), of=of, by=length)
        word = token_of(part.children[1])
        try:
            frames = settings.RANGE.read(word)
        except ValidationError as error:
            where = span_of(word)
            self.findings += findings_of(error, None, lambda _: where, what="during")
            return None
        return self.make(During, span, {}, of=of, frames=frames)

    def _source(self, call: Tree[Token]) -> Expression | None:
        name = str(call.children[0])
        if name == "masks":
            return self._masks(call)
        if name in _SHAPES:
            return self.shape([(None, call)], settings.word_span(call))
        where = span_of(token_of(call.children[0]))
        self.report(
            "G205", f"there is no region source `{name}`", suggestion(name, _SOURCES), where
        )
        return None

    def _masks(self, call: Tree[Token]) -> MaskFiles | None:
        span = settings.word_span(call)
        words = [argument.children for argument in call.children[1:]]  # type: ignore[union-attr]
        if words and len(words[0]) > 1 and getattr(words[0][0], "type", "") == "STRING":
            option = words[0][1]
            cure = f'Options follow the path with commas between them: `masks("…", {option})`.'
            where = settings.word_span(option)
            self.report("G205", f"there is no comma before `{option}`", cure, where)
            return None
        if not words or len(words[0]) != 1 or getattr(words[0][0], "type", "") != "STRING":
            cure = (
                'Write `masks("folder")`, or `masks("folder", invert)` where black is the region.'
            )
            self.report("G205", "`masks` wants a folder, a glob or a file first", cure, span)
            return None
        path = token_of(words[0][0])
        given = {"path": Setting(self.string(path), span_of(path))}
        options = [self._mask_option(argument, given) for argument in words[1:]]
        return self.make(MaskFiles, span, given) if all(options) else None

    def _mask_option(self, words: list[Token | Tree[Token]], given: dict[str, Setting]) -> bool:
        """Read one option of `masks(…)` into ``given``; False where that is a mistake."""
        key, *values = words
        name = str(key) if isinstance(key, Token) else "this"
        where = settings.word_span(key)
        kind = settings.MASKS.get(name)
        if kind is None and name not in settings.MASK_FLAGS:
            options = (*settings.MASK_FLAGS, *settings.MASKS)
            near = closest(name, options)
            cure = suggestion(name, [near]) + " " if near else ""
            cure += "There are " + ", ".join(f"`{option}`" for option in options) + "."
            self.report("G205", f"`masks` takes no option `{name}`", cure, where)
            return False
        field = "first" if name == "from" else name
        if field in given:
            self.report("G204", f"`{name}` is given twice", "Leave one of them.", where)
            return False
        if kind is None:
            if values:
                place = settings.word_span(values[0])
                cure = f"Write `{name}` alone, and a comma before the next option."
                self.report("G202", f"`{name}` takes no value", cure, place)
                return False
            given[field] = Setting(True, where)
            return True
        if not values:
            self.report("G204", f"`{name}` has no value", f"Expected {kind.expected}.", where)
            return False
        place = settings.word_span(values[0]).to(settings.word_span(values[-1]))
        try:
            if len(values) > 1:
                raise Mismatch(f"{kind.expected}, and a comma before the next option")
            value = kind.read(values[0])
        except Mismatch as mismatch:
            expected = str(mismatch) or kind.expected
            message = f"this is no value for `{name}`"
            self.report("G202", message, f"Expected {expected}.", place)
            return False
        given[field] = Setting(self.string(value) if kind is settings.TEXT else value, place)
        return True

    def shape(
        self, keyed: list[tuple[Token | None, Tree[Token]]], span: Span
    ) -> Box | Polygon | None:
        """A box, ellipse or polygon from its keyframes; the frame is None where it stands still."""
        kind = str(keyed[0][1].children[0])
        keys = []
        for frame, call in keyed:
            name = token_of(call.children[0])
            if str(name) not in _SHAPES:
                message = f"`{name}` cannot move from frame to frame"
                cure = f"Only {', '.join(f'`{shape}(…) @ frame`' for shape in _SHAPES)} can."
                self.report("G205", message, cure, span_of(name))
                return None
            if str(name) != kind:
                message = f"a `{kind}` cannot become a `{name}`"
                self.report("G205", message, "Keyframes are of one shape.", span_of(name))
                return None
            number = self._frame(frame)
            points = self._points(call) if kind == "polygon" else self._sides(call)
            if points is None or (frame is not None and number is None):
                return None
            model = Outline if kind == "polygon" else Keyframe
            where = span_of(frame) if frame else settings.word_span(call)
            key = self.make(model, where, {}, frame=number, **points)
            if key is None:
                return None
            keys.append(key)
        if kind == "polygon":
            return self.make(Polygon, span, {}, keyframes=tuple(keys))
        return self.make(Box, span, {}, kind=kind, keyframes=tuple(keys))

    def _frame(self, frame: Token | None) -> int | None:
        if frame is None:
            return None
        try:
            return integer_of(frame)
        except Mismatch:
            self.report(
                "G202", f"`{frame}` is no frame", "Frames are whole numbers.", span_of(frame)
            )
            return None

    def _sides(self, call: Tree[Token]) -> dict[str, Any] | None:
        """The four sides of a box or an ellipse."""
        name, *arguments = call.children
        if any(isinstance(given, Tree) and len(given.children) > 1 for given in arguments):
            cure = f"Write `{name}(10%, 20%, 30%, 60%)`."
            where = settings.word_span(call)
            self.report("G205", "there are commas missing between the sides", cure, where)
            return None
        if len(arguments) != 4:
            where = settings.word_span(call)
            cure = f"Give left, top, right and bottom: `{name}(10%, 20%, 30%, 60%)`."
            which = "a box" if str(name) == "box" else "an ellipse"
            self.report("G205", f"{which} has 4 sides; this has {len(arguments)}", cure, where)
            return None
        corners = []
        for argument in arguments:
            corners.append(self._length(argument))
            if corners[-1] is None:
                return None  # one finding is enough: the others are of the same kind
        return dict(zip(("x0", "y0", "x1", "y1"), corners, strict=True))

    def _points(self, call: Tree[Token]) -> dict[str, Any] | None:
        """The points of a polygon."""
        points = []
        for argument in call.children[1:]:
            words = argument.children if isinstance(argument, Tree) else [argument]
            where = settings.word_span(words[0])
            if len(words) != 2:
                cure = "Give x and y of each: `polygon(50% 10%, 70% 40%, 30% 40%)`."
                self.report("G205", "a point has two lengths", cure, where)
                return None
            x, y = (self._word_length(word) for word in words)
            if x is None or y is None:
                return None
            points.append(self.make(Point, where, {}, x=x, y=y))
        if len(points) < 3:
            cure = "Give x and y of each: `polygon(50% 10%, 70% 40%, 30% 40%)`."
            message = f"a polygon has at least 3 points; this has {len(points)}"
            self.report("G205", message, cure, settings.word_span(call))
            return None
        return {"points": tuple(points)}

    def _length(self, argument: Tree[Token] | Token) -> Length | None:
        words = argument.children if isinstance(argument, Tree) else [argument]
        if len(words) == 1:
            return self._word_length(words[0])
        self.report("G202", "this is no length", _LENGTHS, settings.word_span(words[0]))
        return None

    def _word_length(self, word: Tree[Token] | Token) -> Length | None:
        where = settings.word_span(word)
        if isinstance(word, Token):
            if word.type in {"PERCENT", "PIXELS"}:
                unit = "%" if word.type == "PERCENT" else "px"
                return self.make(
                    Length, where, {"value": Setting(number_of(word), where)}, unit=unit
                )
            if word.type == "NUMBER":
                cure = f"Write `{word}%` of the frame or `{word}px`."
                self.report("G202", f"`{word}` has no unit", cure, where)
                return None
        self.report("G202", "this is no length", _LENGTHS, where)
        return None


def token_of(part: Tree[Token] | Token) -> Token:
    """A part that is a token by the grammar; raises TypeError for a tree."""
    if not isinstance(part, Token):
        raise TypeError(part)
    return part
