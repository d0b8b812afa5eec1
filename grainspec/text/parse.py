"""Text to spec: :func:`parse` for one that must be right, :func:`parse_all` for all findings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, get_args

from lark import Token, Tree
from pydantic import TypeAdapter, ValidationError

from grainspec.checks.meaning import check_meaning
from grainspec.diagnostics import Diagnostic, GrainError, suggestion
from grainspec.diagnostics.span import Span
from grainspec.model.expressions import Box
from grainspec.model.spec import (
    MAX_CONTROLS,
    MAX_VARIANTS,
    Attention,
    Blend,
    Context,
    Control,
    ControlKind,
    Edit,
    EditSpec,
    Flow,
    Free,
    Inject,
    Keep,
    Profile,
    Region,
    Sampler,
    SamplerChange,
    SamplerMethod,
    Variant,
    Video,
    Without,
)
from grainspec.model.validation import findings_of
from grainspec.text import settings
from grainspec.text.regions import RegionReader, token_of
from grainspec.text.settings import Kind, Setting, read_settings
from grainspec.text.tokens import Statement, span_of, statements

VERSION = 1
MAX_CHARACTERS = 2_000_000
_ONCE = (
    "grain",
    "video",
    "model",
    "source",
    "target",
    "negative",
    "attention",
    "flow",
    "inject",
    "context",
    "sampler",
    "blend",
)


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


class _Reader(RegionReader):
    """Collects what the statements say, one method per kind of statement."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = _Scope()
        self.variants: dict[int, _Scope] = {}
        self.scope = self.whole
        self.regions: list[Region] = []
        self.controls: list[Control] = []
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
            name = token_of(tree.children[0])
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
            controls=tuple(self.controls),
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
        version = token_of(tree.children[0])
        if str(version) != str(VERSION):
            message = f"version {version} of the language is not known"
            self.report("G005", message, f"This release reads `grain {VERSION}`.", span_of(version))
        self.scope.once["grain"] = VERSION

    def _video(self, tree: Tree[Token], span: Span) -> None:
        path, *block = tree.children
        given = read_settings(_block(block), settings.VIDEO, self.findings)
        if "crop" in given:
            crop = self._crop(given.pop("crop"))
            if crop is not None:
                given["crop"] = Setting(crop, crop.span or span)
        given["path"] = Setting(self.string(token_of(path)), span_of(token_of(path)))
        self.scope.once["video"] = self.make(Video, span, given)

    def _crop(self, given: Setting) -> Box | None:
        name = given.value.children[0]
        if str(name) != "box":
            cure = "Write `box(10%, 0%, 90%, 100%)`."
            self.report("G205", f"`{name}` is no box", cure, span_of(token_of(name)))
            return None
        crop = self.shape([(None, given.value)], given.span)
        return crop if isinstance(crop, Box) else None

    def _model(self, tree: Tree[Token], span: Span) -> None:
        name = token_of(tree.children[0])
        text = self.string(name) if name.type == "STRING" else str(name)
        self._text("model", text, span_of(name))

    def _prompt(self, tree: Tree[Token], span: Span) -> None:
        which, words = (token_of(child) for child in tree.children)
        text = self.string(words)
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
        given = self._named(tree, "profile", get_args(Profile), settings.ATTENTION)
        if given is not None:
            self.scope.once["attention"] = self.make(Attention, span, given)

    def _flow(self, tree: Tree[Token], span: Span) -> None:
        given = read_settings(_block(tree.children), settings.FLOW, self.findings)
        if "weights" in given:
            path = given["weights"]
            given["weights"] = Setting(self.string(path.value), path.span)
        self.scope.once["flow"] = self.make(Flow, span, given)

    def _inject(self, tree: Tree[Token], span: Span) -> None:
        given = read_settings(_block(tree.children), settings.INJECT, self.findings)
        self.scope.once["inject"] = self.make(Inject, span, given)

    def _context(self, tree: Tree[Token], span: Span) -> None:
        given = read_settings(_block(tree.children), settings.CONTEXT, self.findings)
        self.scope.once["context"] = self.make(Context, span, given)

    def _sampler(self, tree: Tree[Token], span: Span) -> None:
        given = self._named(tree, "method", get_args(SamplerMethod), settings.SAMPLER)
        if given is not None:
            self.scope.once["sampler"] = self.make(
                Sampler if self.scope is self.whole else SamplerChange, span, given
            )

    def _named(
        self, tree: Tree[Token], field: str, names: Sequence[str], known: dict[str, Kind]
    ) -> dict[str, Setting] | None:
        """The settings of a block, and as ``field`` the name before it; None if it is unknown."""
        block = _block(tree.children)
        inside = block.children[0] if block and block.children else None
        if block and isinstance(inside, Token) and str(inside) in names:
            where = settings.word_span(block.children.pop(0))
            cure = f"Write `{tree.data} {inside} {{ … }}`."
            self.report("G201", f"`{inside}` is no setting", cure, where)
        given = read_settings(block, known, self.findings)
        first = tree.children[0] if tree.children else None
        if isinstance(first, Token):
            if str(first) not in names:
                self._unknown_kind(f"{tree.data} {field}", first, names)
                return None
            given[field] = Setting(str(first), span_of(first))
        return given

    def _control(self, tree: Tree[Token], span: Span) -> None:
        kind = token_of(tree.children[0])
        given = read_settings(_block(tree.children), settings.CONTROL, self.findings)
        if str(kind) not in get_args(ControlKind):
            self._unknown_kind("control", kind, get_args(ControlKind))
            return
        for name in ("net", "annotator", "clip"):
            if name in given:
                given[name] = Setting(self.string(given[name].value), given[name].span)
        given["kind"] = Setting(str(kind), span_of(kind))
        control = self.make(Control, span, given)
        if control and len(self.controls) == MAX_CONTROLS:
            message = f"this is control {MAX_CONTROLS + 1}"
            self.report("G203", message, f"At most {MAX_CONTROLS} are read.", span)
        elif control:
            self.controls.append(control)

    def _unknown_kind(self, what: str, word: Token, known: Sequence[str]) -> None:
        listed = ", ".join(f"`{name}`" for name in known)
        cure = suggestion(str(word), known) or f"This release has {listed}."
        self.report("G202", f"there is no {what} `{word}`", cure, span_of(word))

    def _blend(self, tree: Tree[Token], span: Span) -> None:
        given = read_settings(_block(tree.children), settings.BLEND, self.findings)
        self.scope.once["blend"] = self.make(Blend, span, given)

    # --- regions and edits -----------------------------------------------------------------------

    def _region(self, tree: Tree[Token], span: Span) -> None:
        name, expression = token_of(tree.children[0]), tree.children[1]
        built = self.expression(expression)
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
        given["phrase"] = Setting(self.string(phrase), span_of(phrase))
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
        for name in map(token_of, tree.children):
            where = span_of(name)
            made = self.make(model, where, {"region": Setting(str(name), where)})
            if made:
                self.scope.edits.append(made)


def _block(parts: list[Tree[Token] | Token]) -> Tree[Token] | None:
    for part in parts:
        if isinstance(part, Tree) and part.data == "block":
            return part
    return None
