"""Text to spec: :func:`parse` for one that must be right, :func:`parse_all` for all findings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Any

from lark import Token, Tree
from pydantic import TypeAdapter, ValidationError

from grainspec.checks import check_meaning
from grainspec.diagnostics import Diagnostic, GrainError, closest, suggestion
from grainspec.nodes import Node, Span
from grainspec.regions.expressions import (
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
from grainspec.spec import (
    MAX_VARIANTS,
    Attention,
    AttentionChange,
    Edit,
    EditSpec,
    Free,
    Keep,
    Region,
    Sampler,
    SamplerChange,
    Variant,
    Video,
    Without,
)
from grainspec.text import settings
from grainspec.text.settings import Mismatch, Setting, integer_of, number_of, read_settings
from grainspec.text.tokens import Statement, span_of, statements
from grainspec.validation import findings_of

VERSION = 1
MAX_CHARACTERS = 2_000_000
_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}
_SHAPES = ("box", "ellipse", "polygon")
_SOURCES = ("masks", *_SHAPES)
_LENGTHS = "Write percent of the frame, as `61%`, or pixels, as `40px`."
_ONCE = ("grain", "video", "model", "source", "target", "negative", "attention", "sampler")


@dataclass(frozen=True, slots=True)
class Parsed:
    """What parsing found: the spec, unless there were errors, and every finding."""

    spec: EditSpec | None
    diagnostics: tuple[Diagnostic, ...]
    source: str


def parse(text: str, *, path: str | None = None) -> EditSpec:
    """Read a spec from the text of a ``.grain`` file.

    Raises :class:`grainspec.GrainError` with all findings if there is an error among them.
    Files are not looked at: see :func:`grainspec.check`.

    >>> spec = parse('''
    ... grain 1
    ... video "clip.mp4"
    ... target "a green robot on grass"
    ... region left = box(0%, 0%, 50%, 100%)
    ... edit instance left -> "green robot"
    ... ''')
    >>> spec.changes[0].phrase
    'green robot'
    """
    parsed = parse_all(text)
    if parsed.spec is None:
        raise GrainError(parsed.diagnostics, source=parsed.source, path=path)
    return parsed.spec


def parse_all(text: str) -> Parsed:
    """Read a spec, and report every finding rather than raise.

    >>> parsed = parse_all('grain 1 video "c" target "a bear" region r = al edit r -> "cat"')
    >>> parsed.spec is None, [finding.code for finding in parsed.diagnostics]
    (True, ['G101', 'G104'])
    """
    text = text.removeprefix("\ufeff")
    reader = _Reader()
    unreadable = _unreadable(text)
    if unreadable:
        return Parsed(None, (unreadable,), text)
    for statement in statements(text, reader.findings, reader.unread):
        reader.read(statement)
    spec = reader.assemble()
    findings = list(reader.findings)
    findings += check_meaning(spec, absent=reader.absent)
    findings.sort(key=_place)
    broken = any(finding.is_error for finding in findings)
    return Parsed(None if broken else spec, tuple(findings), text)


def _place(finding: Diagnostic) -> tuple[int, int]:
    return (finding.span.line, finding.span.column) if finding.span else (1 << 30, 0)


def _unreadable(text: str) -> Diagnostic | None:
    if len(text) > MAX_CHARACTERS:
        message = f"the text has {len(text)} characters"
        return Diagnostic("G006", message, f"At most {MAX_CHARACTERS} are read.")
    for number, line in enumerate(text.split("\n"), 1):
        bad = re.search(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]", line)
        if bad:
            message = f"character U+{ord(bad[0]):04X} is no text"
            span = Span(number, bad.start() + 1, number, bad.end() + 1)
            return Diagnostic("G006", message, "Save the file as plain UTF-8 text.", span)
    return None


@dataclass
class _Scope:
    """What a file, or one of its variants, says outside any other variant."""

    once: dict[str, Any] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    edits: list[Any] = field(default_factory=list)
    head: tuple[Setting, Span] | None = None
    """A variant's name, and where its head stands."""


class _Reader:
    """Collects what the statements say, one method per kind of statement."""

    def __init__(self) -> None:
        self.findings: list[Diagnostic] = []
        self.whole = _Scope()
        self.variants: dict[int, _Scope] = {}
        self.scope = self.whole
        self.regions: list[Region] = []
        self.unread: set[str] = set()

    @property
    def absent(self) -> frozenset[str]:
        """Statements that are there but could not be read, and regions likewise.

        Those of the second variant begin with ``2.``.
        """
        found = set(self.unread)
        for number, scope in {0: self.whole, **self.variants}.items():
            lost = {name for name in scope.spans if scope.once.get(name) is None}
            found |= {f"{number}.{name}" if number else name for name in lost}
        return frozenset(found)

    def read(self, statement: Statement) -> None:
        """Take in one statement."""
        tree = statement.tree
        if tree.data == "variant":
            name = _token(tree.children[0])
            head = Setting(str(name), span_of(name)), statement.span
            self.variants[statement.variant] = _Scope(head=head)
            return
        # Where a variant's head could not be read, what stands in it is read into nothing.
        self.scope = (
            self.variants.get(statement.variant, _Scope()) if statement.variant else self.whole
        )
        keyword = str(tree.data)
        if keyword == "prompt":
            keyword = str(tree.children[0])
        if keyword in _ONCE:
            spans = self.scope.spans
            if keyword in spans:
                message = f"`{keyword}` stands twice; the first is in line {spans[keyword].line}"
                self.report("G007", message, "Leave one of them.", statement.span)
                return
            spans[keyword] = statement.span
        getattr(self, f"_{tree.data}")(tree, statement.span)

    def report(self, code: str, message: str, cure: str, span: Span | None) -> None:
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

    def assemble(self) -> EditSpec:
        """The whole spec; stand-ins for what is missing, so that the rest can still be checked."""
        once, spans = self.whole.once, self.whole.spans
        if "grain" not in spans and "grain" not in self.unread:
            cure = f"Begin it with `grain {VERSION}`."
            first = Span(1, 1, 1, 2)
            self.report("G005", "the file does not say its version", cure, first)
        if "video" not in spans and "video" not in self.unread:
            message = "there is no `video` statement"
            self.report("G008", message, 'Add one, such as `video "clip.mp4"`.', None)
        said = {name: value for name, value in once.items() if value is not None}
        said.pop("grain", None)
        said.setdefault("video", Video(path="?"))
        spec = EditSpec(
            regions=tuple(self.regions),
            edits=tuple(self.whole.edits),
            variants=self._assemble_variants(),
            **said,
        )
        return spec.located(None, **spans)

    def _assemble_variants(self) -> tuple[Variant, ...]:
        made: list[Variant] = []
        for number, scope in self.variants.items():
            assert scope.head is not None
            name, span = scope.head
            if len(made) == MAX_VARIANTS:
                message = f"this is variant {MAX_VARIANTS + 1}"
                self.report("G203", message, f"At most {MAX_VARIANTS} are read.", span)
                self.unread.add("variant")
                break
            said = {key: value for key, value in scope.once.items() if value is not None}
            variant = self.make(Variant, span, {"name": name}, edits=tuple(scope.edits), **said)
            if variant is None:
                self.unread.add(f"{number}.variant")
            else:
                made.append(variant.located(None, **scope.spans))
        return tuple(made)

    # --- statements that stand once --------------------------------------------------------------

    def _grain(self, tree: Tree[Token], span: Span) -> None:
        version = _token(tree.children[0])
        if str(version) != str(VERSION):
            message = f"version {version} of the language is not known"
            self.report("G005", message, f"This release reads `grain {VERSION}`.", span_of(version))
        self.scope.once["grain"] = VERSION

    def _video(self, tree: Tree[Token], span: Span) -> None:
        path, *block = tree.children
        given = read_settings(_block(block), settings.VIDEO, self.findings)
        if "crop" in given:
            crop = self._crop(given.pop("crop"))
            if crop:
                given["crop"] = Setting(crop, crop.span or span)
        given["path"] = Setting(self._string(_token(path)), span_of(_token(path)))
        self.scope.once["video"] = self.make(Video, span, given)

    def _crop(self, given: Setting) -> Box | None:
        name = given.value.children[0]
        if str(name) != "box":
            cure = "Write `box(10%, 0%, 90%, 100%)`."
            self.report("G205", f"`{name}` is no box", cure, span_of(_token(name)))
            return None
        crop = self._shape([(None, given.value)], given.span)
        return crop if isinstance(crop, Box) else None

    def _model(self, tree: Tree[Token], span: Span) -> None:
        name = _token(tree.children[0])
        text = self._string(name) if name.type == "STRING" else str(name)
        self._text("model", text, span_of(name))

    def _prompt(self, tree: Tree[Token], span: Span) -> None:
        which, words = (_token(child) for child in tree.children)
        text = self._string(words)
        if which == "target" and not text.strip():
            cure = "Describe the whole edited clip, with every edit's words in it."
            self.report("G203", "the target prompt is empty", cure, span_of(words))
            return
        self._text(str(which), text, span_of(words))

    def _text(self, field: str, text: str, span: Span) -> None:
        """Take in one of the spec's own texts, if the spec's model takes it."""
        self.scope.spans[field] = span
        info = EditSpec.model_fields[field]
        try:
            self.scope.once[field] = TypeAdapter(Annotated[str, *info.metadata]).validate_python(
                text
            )
        except ValidationError as error:
            self.findings += findings_of(error, None, lambda _: span, what=field)

    def _attention(self, tree: Tree[Token], span: Span) -> None:
        given = read_settings(_block(tree.children), settings.ATTENTION, self.findings)
        self.scope.once["attention"] = self.make(
            Attention if self.scope is self.whole else AttentionChange, span, given
        )

    def _sampler(self, tree: Tree[Token], span: Span) -> None:
        block = _block(tree.children)
        if block and str(block.children[:1]) == "[Token('NAME', 'ddim')]":
            where = settings.word_span(block.children.pop(0))
            self.report("G201", "`ddim` is no setting", "Write `sampler ddim { … }`.", where)
        given = read_settings(block, settings.SAMPLER, self.findings)
        first = tree.children[0] if tree.children else None
        if isinstance(first, Token):
            if str(first) != "ddim":
                message = f"there is no sampler `{first}`"
                self.report("G202", message, "This release has `ddim`.", span_of(first))
                return
            given["method"] = Setting(str(first), span_of(first))
        self.scope.once["sampler"] = self.make(
            Sampler if self.scope is self.whole else SamplerChange, span, given
        )

    # --- regions and edits -----------------------------------------------------------------------

    def _region(self, tree: Tree[Token], span: Span) -> None:
        name, expression = _token(tree.children[0]), tree.children[1]
        built = self._expression(expression)
        if built is None:
            self.unread.add(str(name))
            return
        region = self.make(
            Region, span, {"name": Setting(str(name), span_of(name))}, expression=built
        )
        if region is None:
            self.unread.add(str(name))
        else:
            self.regions.append(region)

    def _edit(self, tree: Tree[Token], span: Span) -> None:
        self._change("edit", tree, span)

    def _add(self, tree: Tree[Token], span: Span) -> None:
        self._change("add", tree, span)

    def _change(self, verb: str, tree: Tree[Token], span: Span) -> None:
        tokens = [child for child in tree.children if isinstance(child, Token)]
        given = read_settings(_block(tree.children), settings.EDIT, self.findings)
        names = [token for token in tokens if token.type == "NAME"]
        phrase = next(token for token in tokens if token.type == "STRING")
        grain = next((str(t) for t in tokens if t.type in {"CLASS", "INSTANCE", "PART"}), None)
        if verb == "add":
            grain = "part"
        given["region"] = Setting(str(names[0]), span_of(names[0]))
        if len(names) > 1:
            given["owner"] = Setting(str(names[1]), span_of(names[1]))
        given["phrase"] = Setting(self._string(phrase), span_of(phrase))
        edit = self.make(Edit, span, given, verb=verb, grain=grain)
        if edit:
            self.scope.edits.append(edit)

    def _keep(self, tree: Tree[Token], span: Span) -> None:
        self._regions_of(Keep, tree)

    def _free(self, tree: Tree[Token], span: Span) -> None:
        self._regions_of(Free, tree)

    def _without(self, tree: Tree[Token], span: Span) -> None:
        self._regions_of(Without, tree)

    def _regions_of(self, model: type[Keep | Free | Without], tree: Tree[Token]) -> None:
        for name in map(_token, tree.children):
            where = span_of(name)
            made = self.make(model, where, {"region": Setting(str(name), where)})
            if made:
                self.scope.edits.append(made)

    # --- expressions -----------------------------------------------------------------------------

    def _expression(self, part: Tree[Token] | Token) -> Expression | None:
        if not isinstance(part, Tree):
            raise TypeError(part)
        kind = str(part.data)
        span = settings.word_span(part)
        if kind == "rest":
            return Rest()
        if kind == "all":
            return ALL
        if kind == "reference":
            name = _token(part.children[0])
            where = span_of(name)
            return self.make(Reference, where, {"name": Setting(str(name), where)})
        if kind == "call":
            return self._source(part)
        if kind == "keyframes":
            shapes: list[tuple[Token | None, Tree[Token]]] = []
            for keyframe in part.children:
                call, frame = keyframe.children  # type: ignore[union-attr]
                shapes.append((_token(frame), call))  # type: ignore[arg-type]
            return self._shape(shapes, span)
        if kind in {"grown", "during"}:
            return self._modified(part, span)
        operands = [self._expression(child) for child in part.children]
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
        of = self._expression(part.children[0])
        if of is None:
            return None
        if str(part.data) == "grown":
            kind, by = (_token(child) for child in part.children[1:])
            length = self._word_length(by)
            if length is None:
                return None
            return self.make(Grown, span, {}, kind=str(kind), of=of, by=length)
        word = _token(part.children[1])
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
            return self._shape([(None, call)], settings.word_span(call))
        where = span_of(_token(call.children[0]))
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
        path = _token(words[0][0])
        given = {"path": Setting(self._string(path), span_of(path))}
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
        given[field] = Setting(self._string(value) if kind is settings.TEXT else value, place)
        return True

    def _shape(
        self, keyed: list[tuple[Token | None, Tree[Token]]], span: Span
    ) -> Box | Polygon | None:
        """A box, ellipse or polygon from its keyframes; the frame is None where it stands still."""
        kind = str(keyed[0][1].children[0])
        keys = []
        for frame, call in keyed:
            name = _token(call.children[0])
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

    def _string(self, token: Token) -> str:
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


def _token(part: Tree[Token] | Token) -> Token:
    if not isinstance(part, Token):
        raise TypeError(part)
    return part


def _block(parts: list[Tree[Token] | Token]) -> Tree[Token] | None:
    for part in parts:
        if isinstance(part, Tree) and part.data == "block":
            return part
    return None
