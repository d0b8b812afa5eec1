"""Text to spec: :func:`parse` raises errors, :func:`parse_all` returns all findings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from lark import Token, Tree
from pydantic import TypeAdapter, ValidationError

from grainspec.checks.meaning import check_meaning
from grainspec.diagnostics import Diagnostic, Fix, GrainError, suggestion
from grainspec.diagnostics.span import Span
from grainspec.expect import expect_text
from grainspec.model.declaration import Declaration, head_of, settings_of
from grainspec.model.nodes import Node
from grainspec.model.rules import ONCE
from grainspec.model.spec import (
    BLOCKS,
    MAX_CONTROLS,
    MAX_VARIANTS,
    Edit,
    EditSpec,
    Free,
    Keep,
    Region,
    Variant,
    Video,
    Without,
)
from grainspec.model.statements import STATEMENTS
from grainspec.model.validation import Written, findings_of
from grainspec.text.corrections import MAX_CORRECTED, MAX_LENGTH, MAX_STATEMENTS, corrected
from grainspec.text.cures import cure_of_head
from grainspec.text.foreign import ELSEWHERE
from grainspec.text.lines_of_tokens import LineOfTokens, tokens_by_line
from grainspec.text.loose import BLOCKS_OF_LOOSE, Loose, loose_settings, settled
from grainspec.text.memory import NOTHING, Memory, Outcome, Remembered
from grainspec.text.other_formats import other_format
from grainspec.text.readable import unreadable
from grainspec.text.records import braces_of, token_of
from grainspec.text.regions import RegionReader
from grainspec.text.settings import Setting, duplicate, word_span
from grainspec.text.spans import Lines, span_of
from grainspec.text.tokens import Statement, collector_paused, grammar, statements

VERSION = 1


@dataclass(frozen=True, slots=True)
class Parsed:
    """The result of parsing: the spec, unless there are errors, and every finding."""

    spec: EditSpec | None
    diagnostics: tuple[Diagnostic, ...]
    source: str
    draft: EditSpec | None = None
    """What could be read, also of a text with errors; None if that is nothing."""
    memory: Memory = field(default=NOTHING, repr=False, compare=False)
    """What was read of its statements and lines, if it was asked for."""
    tokens: tuple[Token, ...] = field(default=(), repr=False, compare=False)
    """The words and signs of the text, if its memory was asked for."""


def parse(text: str, *, path: str | None = None) -> EditSpec:
    """Read a spec from the text of a ``.grain`` file.

    Raises :class:`grainspec.GrainError` with all findings if one of them is an error.
    It reads no other file; :func:`grainspec.check` does.

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
    parsed = parse_all(expect_text(text, "parse"))
    if parsed.spec is None:
        raise GrainError(parsed.diagnostics, source=parsed.source, path=path)
    return parsed.spec


def parse_all(text: str, memory: Memory | None = None) -> Parsed:
    """Read a spec and return every finding instead of raising an error.

    ``memory`` is that of a reading of nearly the same text, or empty; with it, statements that have
    not changed are not read again, and the result has the memory for the next reading.

    >>> parsed = parse_all('grain 1 video "c" target "a bear" region r = al edit r -> "cat"')
    >>> parsed.spec is None, [finding.code for finding in parsed.diagnostics]
    (True, ['G101', 'G104'])
    """
    text = expect_text(text, "parse_all").removeprefix("\ufeff")
    with collector_paused():
        return _parsed(text, memory)


def _parsed(text: str, memory: Memory | None) -> Parsed:
    reader = _Reader()
    remembered: dict[str, Remembered] = {}
    tokens: list[Token] | None = None
    token_lines: dict[str, LineOfTokens] = {}
    if finding := unreadable(text):
        return Parsed(None, (finding,), text)
    lines: Lines | None = None
    correctable, characters = MAX_STATEMENTS, MAX_CORRECTED
    loose: list[Loose] = []
    blocks: dict[tuple[int, str], Statement] = {}
    if memory is not None:
        tokens, token_lines = tokens_by_line(grammar(), text, memory.lines)
    for statement in statements(text, reader.unread, memory, tokens):
        before = len(reader.findings)
        reader.read(statement)
        if statement.remembered is not None:
            remembered[statement.remembered.key] = statement.remembered
        if statement.tree is not None and statement.tree.data in BLOCKS_OF_LOOSE:
            blocks.setdefault((statement.variant, str(statement.tree.data)), statement)
        if len(reader.findings) == before or not correctable or characters < 0:
            continue
        correctable -= 1
        characters -= min(statement.end - statement.start, MAX_LENGTH)
        lines = lines or Lines(text)
        found = reader.findings[before:]
        better = corrected(text, lines, statement, found, _Readable(statement.variant))
        if better is not None:
            reader.findings[before:] = better
            loose += loose_settings(text, statement, better)
            keywords = {fix.text for finding in better for fix in finding.fixes} & set(STATEMENTS)
            inside = f"{statement.variant}." if statement.variant else ""
            reader.unread |= {inside + keyword for keyword in keywords}
    if loose:
        changed = settled(text, loose, blocks, reader.unread)
        reader.findings = [changed.get(finding, finding) for finding in reader.findings]
    spec = reader.assemble()
    other = other_format(text, reader.findings)
    if other:
        return Parsed(None, (other,), text, tokens=tuple(tokens or ()))
    findings = list(reader.findings)
    findings += check_meaning(spec, absent=reader.absent)
    findings.sort(key=_place)
    broken = any(finding.is_error for finding in findings)
    known = Memory(remembered, token_lines)
    sound = None if broken else spec
    return Parsed(sound, tuple(findings), text, spec, known, tuple(tokens or ()))


class _Readable:
    """Whether a statement, in a variant or not, is read without findings but certain ones."""

    def __init__(self, variant: int) -> None:
        self.variant = variant

    def __call__(self, text: str) -> bool:
        if text.startswith("variant"):
            text += "\n}"
        elif self.variant:
            text = f"variant v {{\n{text}\n}}"
        reader = _Reader()
        for statement in statements(text, set()):
            reader.read(statement)
            if not all(finding.fixes for finding in reader.findings):
                return False
        return True


def _place(finding: Diagnostic) -> tuple[int, int]:
    return (finding.span.line, finding.span.column) if finding.span else (1 << 30, 0)


@dataclass
class _Scope:
    """The statements of a file outside its variants, or those of one variant."""

    once: dict[str, Any] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    edits: list[Any] = field(default_factory=list)
    head: tuple[Setting, Span] | None = None
    """A variant's name, and the place of its head."""


class _Reader(RegionReader):
    """Collects the statements; one method reads all blocks, and one each other kind."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = _Scope()
        self.variants: dict[int, _Scope] = {}
        self.scope = self.whole
        self.regions: list[Region] = []
        self.several: dict[str, list[Node]] = {}
        """Blocks that may be repeated, by the spec's fields."""
        self.unread: set[str] = set()

    @property
    def absent(self) -> frozenset[str]:
        """The statements and regions that could not be read.

        Those of the second variant begin with ``2.``.
        """
        found = set(self.unread)
        for number, scope in {0: self.whole, **self.variants}.items():
            lost = {name for name in scope.spans if scope.once.get(name) is None}
            found |= {f"{number}.{name}" if number else name for name in lost}
        return frozenset(found)

    def read(self, statement: Statement) -> None:
        """Read one statement, or take over the findings about it."""
        self.findings += statement.findings
        tree = statement.tree
        if tree is None:
            return
        if tree.data == "variant":
            name = token_of(tree.children[0])
            head = Setting(str(name), span_of(name)), statement.span
            self.variants[statement.variant] = _Scope(head=head)
            return
        # If a variant's head could not be read, its content goes into a scope that is discarded.
        self.scope = (
            self.variants.get(statement.variant, _Scope()) if statement.variant else self.whole
        )
        keyword = str(tree.data)
        if keyword == "prompt":
            keyword = str(tree.children[0])
        if keyword in ONCE:
            spans = self.scope.spans
            if keyword in spans:
                self.findings.append(duplicate("G007", keyword, spans[keyword], statement.span))
                return
            spans[keyword] = statement.span
        if keyword in BLOCKS:
            self._block(keyword, tree, statement.span)
        elif statement.remembered is not None and keyword not in ONCE:
            self._read_or_known(statement.remembered, tree, statement.span)
        else:
            getattr(self, f"_{tree.data}")(tree, statement.span)

    def _read_or_known(self, known: Remembered, tree: Tree[Token], span: Span) -> None:
        """Read a statement about regions, or add what an earlier reading of it added."""
        if known.outcome is None:
            known.outcome = _outcome(tree, span)
        outcome = known.outcome
        self.regions += outcome.regions
        self.scope.edits += outcome.edits
        self.findings += outcome.findings
        self.unread |= outcome.unread

    def assemble(self) -> EditSpec:
        """Make the spec, with placeholders for missing parts, so that the rest can be checked."""
        once, spans = self.whole.once, self.whole.spans
        if "grain" not in spans and "grain" not in self.unread:
            message = "missing `grain` statement with the version of the language"
            cure = f"Begin the file with `grain {VERSION}`."
            fix = Fix(Span(1, 1, 1, 1), f"grain {VERSION}\n")
            self.findings.append(Diagnostic("G005", message, cure, Span(1, 1, 1, 2), (fix,)))
        if "video" not in spans and "video" not in self.unread:
            message = "missing `video` statement"
            self.add_finding("G008", message, 'Add one, such as `video "clip.mp4"`.', None)
        said = {name: value for name, value in once.items() if value is not None}
        said.pop("grain", None)
        said.setdefault("video", Video(path="?"))
        said.update({field: tuple(nodes) for field, nodes in self.several.items()})
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
                message = f"more than {MAX_VARIANTS} variants"
                self.add_finding("G203", message, "Move the others to another file.", span)
                self.unread.add("variant")
                break
            said = {key: value for key, value in scope.once.items() if value is not None}
            variant = self.make(Variant, span, {"name": name}, edits=tuple(scope.edits), **said)
            if variant is None:
                self.unread.add(f"{number}.variant")
            else:
                made.append(variant.located(None, **scope.spans))
        return tuple(made)

    # --- statements without settings -------------------------------------------------------------

    def _grain(self, tree: Tree[Token], span: Span) -> None:
        version = token_of(tree.children[0])
        if str(version) != str(VERSION):
            message = f"unknown version {version} of the language"
            self.add_finding(
                "G005", message, f"This release reads `grain {VERSION}`.", span_of(version)
            )
        self.scope.once["grain"] = VERSION

    def _model(self, tree: Tree[Token], span: Span) -> None:
        name = token_of(tree.children[0])
        text = self.path(name) if name.type == "STRING" else str(name)
        self._text("model", text, span_of(name))

    def _motion_adapter(self, tree: Tree[Token], span: Span) -> None:
        name = token_of(tree.children[0])
        self._text("motion_adapter", self.path(name), span_of(name))

    def _prompt(self, tree: Tree[Token], span: Span) -> None:
        which, words = (token_of(child) for child in tree.children)
        text = self.string(words)
        if which == "target" and not text.strip():
            cure = "Describe the whole edited clip, with every edit's words in it."
            self.add_finding("G203", "the target prompt is empty", cure, span_of(words))
            return
        self._text(str(which), text, span_of(words))

    def _text(self, field: str, text: str, span: Span) -> None:
        """Read a prompt or the name of a model, and validate it as the spec's model does."""
        self.scope.spans[field] = span
        info = EditSpec.model_fields[field]
        try:
            self.scope.once[field] = TypeAdapter(Annotated[str, *info.metadata]).validate_python(
                text
            )
        except ValidationError as error:
            self.findings += findings_of(error, None, lambda _: Written(span), what=field)

    # --- blocks of settings ----------------------------------------------------------------------

    def _block(self, keyword: str, tree: Tree[Token], span: Span) -> None:
        """Read a statement with a block: the value before its brace, and its settings."""
        block = BLOCKS[keyword]
        model = block.model
        if self.scope is not self.whole and block.in_variant:
            model = block.in_variant
        head, braces = head_of(model), braces_of(tree.children)
        if head and head.choices:
            braces = self._without_head(keyword, head, braces)
        given = self.settings(braces, settings_of(model), ELSEWHERE.get(keyword, {}))
        if head and not self._head(keyword, head, tree, given):
            return
        node = self.make(model, span, given)
        if not block.several:
            self.scope.once[block.field] = node
        elif node is not None:
            nodes = self.several.setdefault(block.field, [])
            if len(nodes) == MAX_CONTROLS:
                message = f"more than {MAX_CONTROLS} `{keyword}` statements"
                self.add_finding("G203", message, "Remove the others.", span)
            else:
                nodes.append(node)

    def _head(
        self, keyword: str, head: Declaration, tree: Tree[Token], given: dict[str, Setting]
    ) -> bool:
        """Read the value before a block's brace; return False if it is invalid."""
        word = tree.children[0] if tree.children else None
        if not isinstance(word, Token):
            return True
        if not head.choices:
            read = self.path if head.kind == "path" else self.string
            given[head.key] = Setting(read(word), span_of(word))
        elif str(word) in head.choices:
            given[head.key] = Setting(str(word), span_of(word))
        else:
            what = keyword if head.field == "kind" else f"{keyword} {head.field}"
            listed = ", ".join(f"`{choice}`" for choice in head.choices)
            in_variant = self.scope is not self.whole
            cure = cure_of_head(keyword, str(word), in_variant=in_variant)
            cure = cure or suggestion(str(word), head.choices)
            cure = cure or f"Expected one of {listed}."
            self.add_finding("G202", f"unknown {what} `{word}`", cure, span_of(word))
            return False
        return True

    def _without_head(
        self, keyword: str, head: Declaration, braces: Tree[Token] | None
    ) -> Tree[Token] | None:
        """The braces without a profile or method that belongs before them, which is reported."""
        inside = braces.children[0] if braces and braces.children else None
        if braces and isinstance(inside, Token) and str(inside) in head.choices:
            cure = f"Write `{keyword} {inside} {{ … }}`."
            self.add_finding("G201", f"`{inside}` is not a setting", cure, word_span(inside))
            return Tree(braces.data, braces.children[1:], braces.meta)
        return braces

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
        given = self.settings(braces_of(tree.children), settings_of(Edit))
        names = [token for token in tokens if token.type == "NAME"]
        phrase = next(token for token in tokens if token.type == "STRING")
        grain = next((str(t) for t in tokens if t.type in {"CLASS", "INSTANCE", "PART"}), None)
        if verb == "add":
            grain = "part"
        given["region"] = Setting(str(names[0]), span_of(names[0]))
        if len(names) > 1:
            given["owner"] = Setting(str(names[1]), span_of(names[1]))
        given["phrase"] = Setting(self.string(phrase), span_of(phrase))
        if not given["phrase"].value.strip():
            region = names[0]
            message = "an edit needs words: what the region becomes"
            cure = "Write words of `target`. To leave the region as it is, write "
            cure += f"`keep {region}`; to let it change without words, `free {region}`."
            self.add_finding("G203", message, cure, span)
            return
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


def _outcome(tree: Tree[Token], span: Span) -> Outcome:
    """Read a statement about regions by itself."""
    reader = _Reader()
    getattr(reader, f"_{tree.data}")(tree, span)
    return Outcome(
        tuple(reader.regions),
        tuple(reader.whole.edits),
        tuple(reader.findings),
        frozenset(reader.unread),
    )
