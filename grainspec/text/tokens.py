"""Text to statements: the lexer, and one parse tree per statement.

Statements are parsed separately, so that an error in one does not hide errors in others.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedToken
from lark.parsers.lalr_analysis import Shift
from lark.parsers.lalr_interactive_parser import InteractiveParser

from grainspec.diagnostics import Diagnostic
from grainspec.diagnostics.span import Span
from grainspec.model.algebra import MAX_DEPTH
from grainspec.model.declaration import settings_of
from grainspec.model.rules import SHARED
from grainspec.model.spec import BLOCKS
from grainspec.model.statements import STATEMENTS
from grainspec.text.foreign import STATEMENTS_OF_OTHERS, WITHOUT_EQUAL
from grainspec.text.memory import Memory, Remembered, key_at
from grainspec.text.spans import span_between, span_of
from grainspec.text.unexpected import ends_early, no_statement, not_in_variant, short, unexpected

_STARTERS = frozenset(word.upper() for word in STATEMENTS)  # their terminals in the grammar
_LIKE_KEYWORDS = frozenset(
    {*STATEMENTS, *STATEMENTS_OF_OTHERS, *WITHOUT_EQUAL}
    | {word for block in BLOCKS.values() for word in settings_of(block.model)}
)
_SHARED = frozenset(word.upper() for word in SHARED)
_JOINERS = frozenset({"VBAR", "AMPERSAND", "MINUS"})
_MODIFIERS = frozenset({"GROW", "SHRINK", "DURING", "SMOOTH"})
_OPENERS, _CLOSERS = frozenset({"LPAR", "LBRACE"}), frozenset({"RPAR", "RBRACE"})


@cache
def grammar() -> Lark:
    """The parser, built from ``grain.lark`` on first use."""
    text = files("grainspec.grammar").joinpath("grain.lark").read_text(encoding="utf-8")
    return Lark(
        text,
        parser="lalr",
        lexer="basic",
        start=["statement", "wrong"],
        maybe_placeholders=False,
        propagate_positions=True,
    )


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause Python's garbage collector: parsing makes a million objects and hardly any garbage.

    With it, half of the time for a long text is spent in walking through those objects again and
    again.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its parse tree, its span in the text, and its variant.

    A statement that cannot be parsed has ``findings`` and no tree. ``variant`` counts variants from
    1 and is 0 outside them; a variant's head belongs to it. ``start`` and ``end`` are offsets.
    """

    tree: Tree[Token] | None
    span: Span
    variant: int
    start: int
    end: int
    findings: tuple[Diagnostic, ...] = ()
    remembered: Remembered | None = None


def statements(
    text: str,
    unread: set[str],
    memory: Memory | None = None,
    tokens: Sequence[Token] | None = None,
) -> Iterator[Statement]:
    """Yield the statements of ``text``; those that cannot be parsed have no tree.

    Keywords of statements that cannot be parsed are added to ``unread`` (``2.target`` in the second
    variant), with the names of the regions that they would define. With the ``memory`` of another
    reading, statements that are there are not parsed again. ``tokens`` are those of the text, if
    they are known.
    """
    return _Statements(text, unread, memory, tokens).all()


class _Statements:
    """Walks through a text's tokens, statement by statement."""

    def __init__(
        self,
        text: str,
        unread: set[str],
        memory: Memory | None,
        tokens: Sequence[Token] | None,
    ) -> None:
        self.text = text
        self.memory = memory
        self.remembered: Remembered | None = None
        """The current statement, if it may be remembered."""
        self.tokens = list(grammar().lex(text) if tokens is None else tokens)
        self.findings: list[Diagnostic] = []
        """The findings of the current statement."""
        self.unread = unread
        self.position = 0
        self.variants = 0
        self.open: Token | None = None  # the `variant` whose `}` is still to come

    def all(self) -> Iterator[Statement]:
        while self.position < len(self.tokens):
            start, token = self.position, self.tokens[self.position]
            variant = self.variants if self.open else 0
            tree = None
            if token.type == "RBRACE" and self.open:
                self.open = None
                self.position += 1
                continue
            if token.type in _STARTERS:
                tree, variant = self.one()
            else:
                self.unknown(token)
            yield self.made(tree, start, variant)
        if self.open:
            message, cure = "unclosed variant", "Close it with `}` after its statements."
            self.findings.append(Diagnostic("G001", message, cure, span_of(self.open)))
            self.unread.add("variant")
            yield self.made(None, len(self.tokens), 0)

    def made(self, tree: Tree[Token] | None, start: int, variant: int) -> Statement:
        """The statement from a token to the current position, with the findings about it."""
        findings, self.findings = tuple(self.findings), []
        last = self.tokens[self.position - 1]
        first = self.tokens[start] if start < len(self.tokens) else last
        offsets = first.start_pos or 0, last.end_pos or 0
        span, known, self.remembered = span_between(first, last), self.remembered, None
        return Statement(tree, span, variant, *offsets, findings, known)

    def unknown(self, token: Token) -> None:
        """Report a statement that begins with an unknown word, and move past it."""
        start = self.position
        self.findings.append(no_statement(token))
        self.position += 1
        self.skip(of=token)
        self.unread |= {str(token), *self.names(start)}
        skipped = [token.type for token in self.tokens[start : self.position]]
        if skipped.count("LBRACE") > skipped.count("RBRACE") and not self.open:
            self.open = token  # a variant, whose word was misspelt
            self.variants += 1

    def one(self) -> tuple[Tree[Token] | None, int]:
        """Read the statement that begins here; for a variant, its head and the brace.

        Returns its tree, None if there are findings, and its variant.
        """
        start = self.position
        first = self.tokens[start]
        if first.type in _SHARED and self.open:
            self.findings.append(not_in_variant(first, self.open))
        if first.type == "WITHOUT" and not self.open:
            message, cure = "`without` is allowed only in a variant", "Remove the edit itself."
            self.findings.append(Diagnostic("G010", message, cure, span_of(first)))
        tree = self.parse() if self.memory is None else self.known_or_parsed(self.memory)
        if first.type == "VARIANT":
            tree = self.enter(first, tree)
        variant = self.variants if self.open else 0
        if self.findings:
            self.unread.add(f"{variant}.{first}" if variant else str(first))
            self.unread |= self.names(start)
            return None, variant
        return tree, variant

    def names(self, start: int) -> set[str]:
        """The names in the tokens from ``start`` to the current position."""
        return {str(token) for token in self.tokens[start : self.position] if token.type == "NAME"}

    def enter(self, first: Token, tree: Tree[Token] | None) -> Tree[Token] | None:
        """Move past the brace after a variant's name, beginning at the end of its parsed head."""
        brace = self.position
        while tree is None and brace < len(self.tokens):
            if self.tokens[brace].type in _STARTERS and _begins_line(self.tokens, brace):
                break
            if self.tokens[brace].type == "LBRACE":
                break
            brace += 1
        if brace == len(self.tokens) or self.tokens[brace].type != "LBRACE":
            if tree:
                last = self.tokens[self.position - 1]
                message = f"incomplete statement after `{short(last)}`"
                self.findings.append(Diagnostic("G001", message, "Expected `{`.", span_of(last)))
            if self.closes_later():
                self.variants += 1
                self.open = first
            return None
        self.position = brace + 1
        self.variants += 1
        self.open = first
        return tree

    def closes_later(self) -> bool:
        """Whether an unmatched `}` follows before the next variant."""
        braces = 0
        for token in self.tokens[self.position :]:
            if token.type == "VARIANT":
                break
            braces += (token.type == "LBRACE") - (token.type == "RBRACE")
            if braces < 0:
                return True
        return False

    def known_or_parsed(self, memory: Memory) -> Tree[Token] | None:
        """The tree of the statement that begins here, from memory if it is there."""
        start = self.position
        first = self.tokens[start]
        place, key = (first.line or 1, first.column or 1), key_at(self.text, first.start_pos or 0)
        known = memory.statements.get(key)
        if known is None or not self.stands(known, start):
            tree = self.parse()
            count, text = self.position - start, self.text[first.start_pos : self.last.end_pos]
            known = Remembered(key, text, count, place, tree, place) if tree else None
        else:
            self.position = start + known.tokens
            known = known.at(place)
        self.remembered = known if first.type != "VARIANT" else None
        return known.tree if known else None

    @property
    def last(self) -> Token:
        """The token before the current position."""
        return self.tokens[self.position - 1]

    def stands(self, known: Remembered, start: int) -> bool:
        """Whether the tokens from ``start`` on are a statement that was parsed before."""
        end = start + known.tokens
        if end > len(self.tokens):
            return False
        first, last = self.tokens[start].start_pos or 0, self.tokens[end - 1].end_pos or 0
        # Any other token than a keyword might go on with the statement.
        ends = end == len(self.tokens) or self.tokens[end].type in _STARTERS
        return ends and last - first == len(known.text) and self.text.startswith(known.text, first)

    def parse(self) -> Tree[Token] | None:
        """The tree of the statement that begins here; None if it cannot be parsed."""
        tokens, position = self.tokens, self.position
        machine = grammar().parse_interactive(start="statement")
        start, head = position, tokens[position].type == "VARIANT"
        brackets: list[tuple[Token, int]] = []  # those open, with the consecutive `~` before each
        deep = 0  # the sum of these
        row = 0  # consecutive `~`
        behind = 0  # modifiers such as `grow` after one region
        while True:
            if position == len(tokens) or (
                position > start and self.ends(machine, position, head=head)
            ):
                self.position = position
                try:
                    return machine.feed_eof(tokens[position - 1])  # type: ignore[no-any-return, no-untyped-call]
                except UnexpectedToken:
                    self.findings.append(
                        ends_early(machine, tokens[position - 1], [token for token, _ in brackets])
                    )
                    return None
            token = tokens[position]
            row = row + 1 if token.type == "TILDE" else 0
            behind = 0 if token.type in _JOINERS else behind + (token.type in _MODIFIERS)
            if len(brackets) + (token.type in _OPENERS) + deep + row + behind > MAX_DEPTH:
                message = f"the expression is nested more than {MAX_DEPTH} levels deep"
                cure = "Define a part of it as a separate region."
                self.findings.append(Diagnostic("G004", message, cure, span_of(token)))
                self.position = position
                self.skip(brackets)
                return None
            try:
                machine.feed_token(token)
            except UnexpectedToken:
                self.position = position
                begins = token.type in _STARTERS and _begins_line(tokens, position)
                inside = any(opener.type == "LBRACE" for opener, _ in brackets)
                if begins or (token.type == "RBRACE" and self.open and not inside):
                    self.findings.append(
                        ends_early(machine, tokens[position - 1], [token for token, _ in brackets])
                    )
                else:
                    self.findings.append(unexpected(machine, token, tokens[position - 1]))
                    self.skip(brackets)
                return None
            if token.type in _OPENERS:
                before = _tildes_before(tokens, position)
                brackets.append((token, before))
                deep += before
            elif token.type in _CLOSERS and brackets:
                deep -= brackets.pop()[1]
            position += 1

    def ends(self, machine: InteractiveParser, position: int, *, head: bool) -> bool:
        """Whether the statement is complete and the next token does not belong to it.

        ``head`` is for a variant's head, which a brace follows.
        """
        kind = self.tokens[position].type
        if kind == "RBRACE" or (kind == "LBRACE" and head):
            return _may_end(machine) and kind not in machine.accepts()  # type: ignore[no-untyped-call]
        return _may_begin(machine, self.tokens, position) and _may_end(machine)

    def skip(self, brackets: Sequence[tuple[Token, int]] = (), *, of: Token | None = None) -> None:
        """Move to the next keyword that begins a line, or to the end of the variant.

        Words that begin a statement in other tools, and settings outside braces, count as keywords.
        ``brackets`` are those open at the mistake. After an unknown word, ``of``, any word that
        begins a line no further in is a statement too.
        """
        braces = sum(opener.type == "LBRACE" for opener, _ in brackets)
        column = (of.column or 1) if of and of.type == "NAME" else 0
        while self.position < len(self.tokens):
            token = self.tokens[self.position]
            if _begins_line(self.tokens, self.position):
                if token.type in _STARTERS:
                    break
                near = (token.column or 1) <= column or str(token).lower() in _LIKE_KEYWORDS
                if token.type == "NAME" and near and not braces:
                    break
            if token.type == "RBRACE" and self.open and not braces:
                break
            braces += (token.type == "LBRACE") - (token.type == "RBRACE" and braces > 0)
            self.position += 1


def _begins_line(tokens: list[Token], position: int) -> bool:
    return position == 0 or tokens[position - 1].end_line != tokens[position].line


def _may_end(machine: InteractiveParser) -> bool:
    return "$END" in machine.choices()  # type: ignore[no-untyped-call]


def _takes_name(machine: InteractiveParser) -> bool:
    """Whether a name can follow; quick where the parser's table says so without a reduction."""
    action = machine.choices().get("NAME")  # type: ignore[no-untyped-call]
    if action is None or action[0] is Shift:
        return action is not None
    return "NAME" in machine.accepts()  # type: ignore[no-untyped-call]


def _may_begin(machine: InteractiveParser, tokens: list[Token], position: int) -> bool:
    """Whether a token begins a statement: a keyword, or a name that fits nowhere else."""
    kind = tokens[position].type
    if kind == "NAME" and _begins_line(tokens, position):
        return not _takes_name(machine)
    return kind in _STARTERS


def _tildes_before(tokens: list[Token], position: int) -> int:
    """The number of consecutive `~` before a token."""
    count = 0
    while count < position and tokens[position - 1 - count].type == "TILDE":
        count += 1
    return count
