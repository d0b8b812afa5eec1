"""Region expressions: from a parse tree to the records of a spec."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from lark import Token, Tree
from pydantic import ValidationError

from grainspec.diagnostics import Diagnostic, Fix, closest, suggestion
from grainspec.diagnostics.span import Span
from grainspec.model.algebra import (
    All,
    Box,
    Complement,
    Difference,
    During,
    Expression,
    Grown,
    Intersection,
    MaskFiles,
    Polygon,
    Reference,
    Rest,
    Union,
)
from grainspec.model.declaration import Declaration, fields_of, settings_of
from grainspec.model.nodes import Node
from grainspec.model.numbers import percent_text
from grainspec.model.shapes import Keyframe, Length, Outline, Point
from grainspec.model.validation import Written, findings_of, invalid_value, short
from grainspec.text.kinds import Word, expected_value, number_of
from grainspec.text.settings import (
    Setting,
    duplicate,
    read_settings,
    value_of,
    word_span,
    words_text,
)
from grainspec.text.spans import span_of

_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}
_KNOWN_OR_ANY = re.compile(r"\\(.)", re.DOTALL)
_KNOWN_ESCAPE = re.compile(r'\\["\\nt]')
_UNKNOWN_ESCAPE = re.compile(r"\\.", re.DOTALL)
_DOUBLED = re.compile(r"\\\\")
_WINDOWS = re.compile(r'\\(?=[^"\\])')
_SHAPES = ("box", "ellipse", "polygon")
_SOURCES = ("masks", *_SHAPES)
_LENGTHS = "percent of the frame, such as `61%`, or source pixels, such as `40px`"
_PLAIN: dict[str, type[Rest | All]] = {"rest": Rest, "all": All}
_OPERATORS: dict[str, type[Union | Intersection | Difference]] = {
    "union": Union,
    "intersection": Intersection,
    "difference": Difference,
}


def _plain(escaped: str) -> str:
    r"""What was meant by an unknown escape: `\(`, as in other tools' prompts, is a plain `(`."""
    return escaped if not escaped.isalnum() else f"\\\\{escaped}"


class RegionReader:
    """Reads expressions and settings; a mistake becomes a finding, and its value None."""

    def __init__(self) -> None:
        self.findings: list[Diagnostic] = []

    def add_finding(self, code: str, message: str, cure: str, span: Span | None) -> None:
        """Add a finding."""
        self.findings.append(Diagnostic(code, message, cure, span))

    def make(
        self, model: type[Any], span: Span, given: dict[str, Setting], **fields: Any
    ) -> Any | None:
        """Build a node; values that its model rejects become findings at their places.

        Rejected settings are then omitted, so that the rest can still be checked.
        """
        values = {name: setting.value for name, setting in given.items()}
        written = {name: setting.written for name, setting in given.items()}
        spans = {name: setting.span for name, setting in given.items()}
        try:
            node: Node = model(**values, **fields)
        except ValidationError as error:
            self.findings += findings_of(
                error,
                model,
                lambda path: written.get(str(path[0]) if path else "", Written(span)),
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
        """The text of a STRING, without quotes and with its escapes resolved."""
        unknown = list(dict.fromkeys(_UNKNOWN_ESCAPE.findall(_KNOWN_ESCAPE.sub("", str(token)))))
        if unknown:
            text = _KNOWN_OR_ANY.sub(
                lambda m: m[0] if m[1] in _ESCAPES else _plain(m[1]), str(token)
            )
            shown = " and ".join(f"`{escape}`" for escape in unknown[:3])
            message = f"unknown escape {shown}"
            cure = r"The escapes are `\"`, `\\`, `\n` and `\t`."
            if all(escape[1] in "()[]{}" for escape in unknown):
                cure = "Write brackets without a backslash."
            fixes = (Fix(span_of(token), text),)
            self.findings.append(Diagnostic("G003", message, cure, span_of(token), fixes))
        return _KNOWN_OR_ANY.sub(lambda match: _ESCAPES.get(match[1], match[1]), str(token)[1:-1])

    def path(self, token: Token) -> str:
        r"""The path in a STRING; a `\` before a letter is that of Windows, not an escape."""
        written = str(token)
        if _WINDOWS.search(_DOUBLED.sub("", written)):
            slashes = _WINDOWS.sub("/", _DOUBLED.sub("/", written))
            message = "a path has `/` between folders, not `\\`"
            shared = written.startswith('"\\\\') and not written.startswith('"\\\\?')
            slashes = f'"/{slashes[1:]}' if shared else slashes
            cure = f"Write `{slashes}`."
            # The path of a shared folder is right only on Windows.
            fixes = () if shared else (Fix(span_of(token), slashes),)
            self.findings.append(Diagnostic("G012", message, cure, span_of(token), fixes))
            return slashes[1:-1]
        return self.string(token)

    def expression(self, part: Tree[Token] | Token) -> Expression | None:
        """A region expression."""
        if not isinstance(part, Tree):
            raise TypeError(part)
        kind = str(part.data)
        span = word_span(part)
        if kind in _PLAIN:
            return _PLAIN[kind]()
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
        return _OPERATORS[kind](items=items).located(span)

    def _modified(self, part: Tree[Token], span: Span) -> Expression | None:
        """A region with a modifier: grown, shrunk, or only on some frames."""
        of = self.expression(part.children[0])
        if of is None:
            return None
        if str(part.data) == "grown":
            kind, by = (token_of(child) for child in part.children[1:])
            length = self._word_length(by)
            if length is None:
                return None
            return self.make(Grown, span, {}, kind=str(kind), of=of, by=length)
        frames = value_of([part.children[1]], "during", fields_of(During)["frames"])
        if isinstance(frames, Diagnostic):
            self.findings.append(frames)
            return None
        return self.make(During, span, {}, of=of, frames=frames.value)

    def _source(self, call: Tree[Token]) -> Expression | None:
        name = str(call.children[0])
        if name == "masks":
            return self._masks(call)
        if name in _SHAPES:
            return self.shape([(None, call)], word_span(call))
        where = span_of(token_of(call.children[0]))
        self.add_finding(
            "G205", f"unknown region source `{name}`", suggestion(name, _SOURCES), where
        )
        return None

    def _masks(self, call: Tree[Token]) -> MaskFiles | None:
        span = word_span(call)
        words = [argument.children for argument in call.children[1:]]  # type: ignore[union-attr]
        if words and len(words[0]) > 1 and getattr(words[0][0], "type", "") == "STRING":
            option = words[0][1]
            cure = f'Options follow the path with commas between them: `masks("…", {option})`.'
            where = word_span(option)
            self.add_finding("G205", f"missing comma before `{option}`", cure, where)
            return None
        if not words or len(words[0]) != 1 or getattr(words[0][0], "type", "") != "STRING":
            cure = (
                'Write `masks("folder")`, or `masks("folder", invert)` where black is the region.'
            )
            self.add_finding("G205", "`masks` needs a folder, a glob or a file first", cure, span)
            return None
        path = token_of(words[0][0])
        given = {"path": Setting(self.path(path), span_of(path))}
        places: dict[str, Span] = {}
        options = [self._mask_option(argument, given, places) for argument in words[1:]]
        return self.make(MaskFiles, span, given) if all(options) else None

    def _mask_option(
        self, words: list[Word], given: dict[str, Setting], places: dict[str, Span]
    ) -> bool:
        """Read one option of `masks(…)` into ``given``; return False if it is invalid.

        ``places`` are the places of the previous options, by keyword.
        """
        key, *values = words
        name = words_text([key])
        where = word_span(key)
        options = settings_of(MaskFiles)
        declaration = options.get(name) if isinstance(key, Token) else None
        if declaration is None:
            near = closest(name, options)
            cure = suggestion(name, [near]) + " " if near else ""
            cure += "The options are " + ", ".join(f"`{option}`" for option in options) + "."
            self.add_finding("G205", f"unknown option `{name}` of `masks`", cure, where)
            return False
        if name in places:
            self.findings.append(duplicate("G204", name, places[name], where))
            return False
        setting = self._option_value(name, where, values, declaration)
        if setting is None:
            return False
        places[name] = where
        given[declaration.key] = setting
        return True

    def _option_value(
        self, name: str, where: Span, values: list[Word], declaration: Declaration
    ) -> Setting | None:
        """The value of an option of `masks(…)`; None if it is invalid."""
        if declaration.kind == "flag":
            if values:
                cure = f"Write `{name}` alone, and a comma before the next option."
                self.add_finding("G202", f"`{name}` takes no value", cure, word_span(values[0]))
                return None
            return Setting(True, where)
        if not values:
            cure = f"Expected {expected_value(declaration)}."
            self.add_finding("G204", f"`{name}` has no value", cure, where)
            return None
        if len(values) > 1:
            place = word_span(values[0]).to(word_span(values[-1]))
            message = invalid_value(words_text(values), name, expected_value(declaration))
            self.add_finding("G202", message, "Write a comma before the next option.", place)
            return None
        read = value_of(values, name, declaration)
        if isinstance(read, Setting):
            return self.resolved(read)
        self.findings.append(read)
        return None

    def settings(
        self, block: Tree[Token] | None, known: dict[str, Declaration]
    ) -> dict[str, Setting]:
        """A block's settings by the keys of its model; mistakes become findings."""
        read = read_settings(block, known, self.findings)
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
            if str(name) not in _SHAPES:
                message = f"`{name}` cannot have keyframes"
                cure = f"Only {', '.join(f'`{shape}(…) @ frame`' for shape in _SHAPES)} can."
                self.add_finding("G205", message, cure, span_of(name))
                return None
            if str(name) != kind:
                message = f"a `{name}` among the keyframes of a `{kind}`"
                self.add_finding("G205", message, "Use one shape for all keyframes.", span_of(name))
                return None
            number = self._frame(frame)
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

    def _frame(self, frame: Token | None) -> Setting | None:
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
        shares = _as_shares(arguments, "sides", each=1)
        if shares:
            self.findings.append(shares)
            return None
        corners = []
        for argument in arguments:
            corners.append(self._length(argument))
            if corners[-1] is None:
                return None  # one finding is enough: the others would be of the same kind
        return dict(zip(("x0", "y0", "x1", "y1"), corners, strict=True))

    def _points(self, call: Tree[Token]) -> dict[str, Any] | None:
        """The points of a polygon."""
        shares = _as_shares(call.children[1:], "points", each=2)
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
            x, y = (self._word_length(word) for word in words)
            if x is None or y is None:
                return None
            points.append(self.make(Point, where, {}, x=x, y=y))
        if len(points) < 3:
            cure = "Give x and y of each: `polygon(50% 10%, 70% 40%, 30% 40%)`."
            message = f"a polygon has at least 3 points; this has {len(points)}"
            self.add_finding("G205", message, cure, word_span(call))
            return None
        return {"points": tuple(points)}

    def _length(self, argument: Tree[Token] | Token) -> Length | None:
        words = argument.children if isinstance(argument, Tree) else [argument]
        if len(words) == 1:
            return self._word_length(words[0])
        self.add_finding("G202", _invalid_length(words), "", word_span(words[0]))
        return None

    def _word_length(self, word: Tree[Token] | Token) -> Length | None:
        where = word_span(word)
        if isinstance(word, Token) and word.type in {"PERCENT", "PIXELS"}:
            unit = "%" if word.type == "PERCENT" else "px"
            value = Setting(number_of(word), where, "length", str(word))
            return self.make(Length, where, {"value": value}, unit=unit)
        number = isinstance(word, Token) and word.type == "NUMBER"
        cure = f"Write `{word}%` or `{word}px`." if number else ""
        self.add_finding("G202", _invalid_length([word]), cure, where)
        return None


def _as_shares(
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


def token_of(part: Tree[Token] | Token) -> Token:
    """A part that is a token by the grammar; raises TypeError for a tree."""
    if not isinstance(part, Token):
        raise TypeError(part)
    return part
