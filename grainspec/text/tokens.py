"""Text to statements: the lexer, and one parse tree per statement.

Statements are parsed separately, so that an error in one does not hide errors in others.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedToken
from lark.parsers.lalr_interactive_parser import InteractiveParser

from grainspec.diagnostics import Diagnostic, closest
from grainspec.diagnostics.span import Span
from grainspec.model.algebra import MAX_DEPTH
from grainspec.model.names import RESERVED
from grainspec.model.rules import SHARED
from grainspec.model.statements import STATEMENTS

_STARTERS = frozenset(word.upper() for word in STATEMENTS)  # their terminals in the grammar
_SHARED = frozenset(word.upper() for word in SHARED)
_JOINERS = frozenset({"VBAR", "AMPERSAND", "MINUS"})
_MODIFIERS = frozenset({"GROW", "SHRINK", "DURING"})
_NUMBERS = frozenset({"NUMBER", "PERCENT"})
_OPENERS, _CLOSERS = frozenset({"LPAR", "LBRACE"}), frozenset({"RPAR", "RBRACE"})

_SPOKEN = {
    "NAME": "a name",
    "STRING": "a text in quotes",
    "NUMBER": "a number",
    "PERCENT": "a percentage",
    "PIXELS": "a length in px",
    "SIZE": "a size",
    "RANGE": "a range",
    "EQUAL": "`=`",
    "COMMA": "`,`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "VBAR": "`|`",
    "AMPERSAND": "`&`",
    "MINUS": "`-`",
    "TILDE": "`~`",
    "AT": "`@`",
    "_ARROW": "`->`",
    "OF": "`of`",
    "REST": "`rest`",
    "ALL": "`all`",
    "GROW": "`grow`",
    "SHRINK": "`shrink`",
    "DURING": "`during`",
    "CLASS": "`class`",
    "INSTANCE": "`instance`",
    "PART": "`part`",
}
_WORDS_OF_OTHERS = {"and": "&", "or": "|", "not": "~", "minus": "-", "without": "-", "union": "|"}
_INSTEAD = {
    **dict.fromkeys("“”„«»‘’'`", 'Put texts in straight double quotes: `"…"`.'),
    **dict.fromkeys("→⇒➔", "Write the arrow as `->`."),
    **dict.fromkeys("×✕", "Write a size with the letter x, such as `512x512`."),
    **dict.fromkeys("−–—‐", "Write `-`."),
    "…": "Write a range with two dots, such as `0..30`.",
    "+": "Write `|` for either of two regions.",
    "!": "Write `~` for everything else.",
    ":": "Remove it: settings are written `weight 1.2`.",
    ";": "Remove it.",
    ".": "Write a range without spaces, such as `0..30`.",
}
"""What to write instead of signs from other languages and word processors."""


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


def span_of(token: Token) -> Span:
    """The place of a token."""
    return Span(token.line or 1, token.column or 1, token.end_line or 1, token.end_column or 1)


def span_between(first: Token, last: Token) -> Span:
    """The span from the start of one token to the end of another."""
    return span_of(first).to(span_of(last))


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its parse tree, its span in the text, and its variant.

    ``variant`` counts variants from 1 and is 0 outside them; a variant's head belongs to it.
    """

    tree: Tree[Token]
    span: Span
    variant: int = 0


def statements(text: str, findings: list[Diagnostic], unread: set[str]) -> Iterator[Statement]:
    """Yield the statements of ``text``; those that cannot be parsed become findings.

    Keywords of statements that cannot be parsed are added to ``unread`` (``2.target`` in the second
    variant), with the names of the regions that they would define.
    """
    return _Statements(text, findings, unread).all()


class _Statements:
    """Walks through a text's tokens, statement by statement."""

    def __init__(self, text: str, findings: list[Diagnostic], unread: set[str]) -> None:
        self.tokens = list(grammar().lex(text))
        self.findings = findings
        self.unread = unread
        self.position = 0
        self.variants = 0
        self.open: Token | None = None  # the `variant` whose `}` is still to come

    def all(self) -> Iterator[Statement]:
        while self.position < len(self.tokens):
            token = self.tokens[self.position]
            if token.type == "RBRACE" and self.open:
                self.open = None
                self.position += 1
            elif token.type not in _STARTERS:
                start = self.position
                self.findings.append(_no_statement(token))
                self.position += 1
                self.skip()
                self.unread |= {str(token), *self.names(start)}
                skipped = [token.type for token in self.tokens[start : self.position]]
                if skipped.count("LBRACE") > skipped.count("RBRACE") and not self.open:
                    self.open = token  # a variant, whose word was misspelt
                    self.variants += 1
            else:
                yield from self.one()
        if self.open:
            message, cure = "unclosed variant", "Close it with `}` after its statements."
            self.findings.append(Diagnostic("G001", message, cure, span_of(self.open)))
            self.unread.add("variant")

    def one(self) -> Iterator[Statement]:
        """Read the statement that begins here; for a variant, its head and the brace."""
        start, failed = self.position, len(self.findings)
        first = self.tokens[start]
        if first.type in _SHARED and self.open:
            message = f"`{first}` is not allowed in a variant"
            cure = f"Variants share {_listed(sorted(SHARED - {'grain', 'variant'}), 'and')}."
            if first.type == "VARIANT":
                cure = "Close the variant before it with `}`."
            self.findings.append(Diagnostic("G010", message, cure, span_of(first)))
        if first.type == "WITHOUT" and not self.open:
            message, cure = "`without` is allowed only in a variant", "Remove the edit itself."
            self.findings.append(Diagnostic("G010", message, cure, span_of(first)))
        tree = self.parse()
        if first.type == "VARIANT":
            tree = self.enter(first, tree)
        variant = self.variants if self.open else 0
        if len(self.findings) > failed:
            self.unread.add(f"{variant}.{first}" if variant else str(first))
            self.unread |= self.names(start)
        elif tree:
            yield Statement(tree, span_between(first, self.tokens[self.position - 1]), variant)

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
                message = f"incomplete statement after `{_short(last)}`"
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

    def parse(self) -> Tree[Token] | None:
        """The tree of the statement that begins here; None if it cannot be parsed."""
        tokens, position = self.tokens, self.position
        machine = grammar().parse_interactive(start="statement")
        start, head = position, tokens[position].type == "VARIANT"
        brackets: list[int] = []  # for each open bracket, the consecutive `~` before it
        braces = 0
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
                    self.findings.append(_ends_early(machine, tokens[position - 1]))
                    return None
            token = tokens[position]
            if token.type in _OPENERS:
                brackets.append(row)
            elif token.type in _CLOSERS and brackets:
                brackets.pop()
            row = row + 1 if token.type == "TILDE" else 0
            behind = 0 if token.type in _JOINERS else behind + (token.type in _MODIFIERS)
            if len(brackets) + sum(brackets) + row + behind > MAX_DEPTH:
                message = f"the expression is nested more than {MAX_DEPTH} levels deep"
                cure = "Define a part of it as a separate region."
                self.findings.append(Diagnostic("G004", message, cure, span_of(token)))
                self.position = position
                self.skip(braces)
                return None
            try:
                machine.feed_token(token)
            except UnexpectedToken:
                self.position = position
                begins = token.type in _STARTERS and _begins_line(tokens, position)
                if begins or (token.type == "RBRACE" and self.open and not braces):
                    self.findings.append(_ends_early(machine, tokens[position - 1]))
                else:
                    self.findings.append(_unexpected(machine, token, tokens[position - 1]))
                    self.skip(braces)
                return None
            braces += (token.type == "LBRACE") - (token.type == "RBRACE")
            position += 1

    def ends(self, machine: InteractiveParser, position: int, *, head: bool) -> bool:
        """Whether the statement is complete and the next token does not belong to it.

        ``head`` is for a variant's head, which a brace follows.
        """
        kind = self.tokens[position].type
        if kind == "RBRACE" or (kind == "LBRACE" and head):
            return _may_end(machine) and kind not in machine.accepts()  # type: ignore[no-untyped-call]
        return _may_begin(machine, self.tokens, position) and _may_end(machine)

    def skip(self, braces: int = 0) -> None:
        """Move to the next keyword that begins a line, or to the end of the variant.

        ``braces`` is how many are open at the mistake.
        """
        while self.position < len(self.tokens):
            token = self.tokens[self.position]
            if token.type in _STARTERS and _begins_line(self.tokens, self.position):
                break
            if token.type == "RBRACE" and self.open and not braces:
                break
            braces += (token.type == "LBRACE") - (token.type == "RBRACE" and braces > 0)
            self.position += 1


def _begins_line(tokens: list[Token], position: int) -> bool:
    return position == 0 or tokens[position - 1].end_line != tokens[position].line


def _may_end(machine: InteractiveParser) -> bool:
    return "$END" in machine.choices()  # type: ignore[no-untyped-call]


def _may_begin(machine: InteractiveParser, tokens: list[Token], position: int) -> bool:
    """Whether a token begins a statement: a keyword, or a name that fits nowhere else."""
    kind = tokens[position].type
    if kind == "NAME" and _begins_line(tokens, position):
        return "NAME" not in machine.accepts()  # type: ignore[no-untyped-call]
    return kind in _STARTERS


def _no_statement(token: Token) -> Diagnostic:
    strange = _strange(token)
    if strange:
        return strange
    if token.type == "RBRACE":
        return Diagnostic("G001", "unmatched `}`", "Remove it.", span_of(token))
    near = closest(str(token), STATEMENTS)
    words = _listed(STATEMENTS, "or")
    cure = f"Did you mean `{near}`?" if near else f"Statements begin with {words}."
    return Diagnostic("G001", f"unknown statement `{_short(token)}`", cure, span_of(token))


def _strange(token: Token) -> Diagnostic | None:
    """A finding for a token that is not in the language."""
    if token.type == "UNCLOSED":
        message, cure = "unclosed text", 'Close it with `"` on the same line.'
        return Diagnostic("G002", message, cure, span_of(token))
    if token.type == "WRONG":
        sign = str(token)[0]
        shown = f"`{_short(token)}`"
        if not sign.isascii():
            named = unicodedata.name(sign, "")
            shown = f"U+{ord(sign):04X}{f' ({named.lower()})' if named else ''}"
            shown = f"`{sign}`, {shown}," if sign.isprintable() else f"the character {shown}"
        message = f"{shown} is not in the language"
        cure = _INSTEAD.get(sign, "" if sign.isascii() else "Remove it.")
        if sign.isdigit():
            cure = "Numbers look like `2`, `0.5`, `30%`, `40px`, `0..30` or `512x512`."
        return Diagnostic("G003", message, cure, span_of(token))
    return None


def _unexpected(machine: InteractiveParser, token: Token, before: Token) -> Diagnostic:
    strange = _strange(token)
    if strange:
        return strange
    expected = _expected(machine)
    message = f"unexpected `{_short(token)}` after `{_short(before)}`"
    if "a name" in expected and str(token) in RESERVED:
        message = f"`{token}` is a keyword and cannot be a name"
        cure = f"Choose another name, such as `my_{token}`."
        return Diagnostic("G001", message, cure, span_of(token))
    cure = _meant(token, before, expected)
    if not cure and expected:
        cure = f"Expected {_joined(expected, 'or')}."
    return Diagnostic("G001", message, cure, span_of(token))


def _meant(token: Token, before: Token, expected: list[str]) -> str:
    """What to write instead of a sign or word of another language, if known."""
    text = str(token)
    if str(before) == "not" and token.type == "NAME":
        return f"Write `~{text}`."
    if text in _WORDS_OF_OTHERS and ("`|`" in expected or "`~`" in expected):
        return f"Write `{_WORDS_OF_OTHERS[text]}`."
    if token.type == "STRING" and "`~`" in expected:
        return f"Write `masks({_short(token)})` for masks in files."
    if token.type == "STRING" and expected == ["a name"]:
        return "Write the name without quotes."
    if token.type == "EQUAL" and "`}`" in expected:
        return "Remove it: settings are written `weight 1.2`."
    if token.type == "MINUS" and before.type == "NAME" and "`|`" not in expected:
        return f"Write names with `_`, such as `{before}_…`."
    if token.type == "NAME" and expected == ["`{`"]:
        return f"Put settings in braces: `{{ {text} … }}`."
    if token.type in _NUMBERS and before.type == "NAME" and expected == ["`{`"]:
        return f"Put settings in braces: `{{ {before} {text} … }}`."
    if token.type == "COMMA" and expected == ["`{`"]:
        return "Begin a new statement for each edit."
    return ""


def _ends_early(machine: InteractiveParser, last: Token) -> Diagnostic:
    expected = _expected(machine)
    message = f"incomplete statement after `{_short(last)}`"
    cure = f"Expected {_joined(expected, 'or')}." if expected else ""
    return Diagnostic("G001", message, cure, span_of(last))


def _expected(machine: InteractiveParser) -> list[str]:
    accepted = machine.accepts()  # type: ignore[no-untyped-call]
    return [spoken for terminal, spoken in _SPOKEN.items() if terminal in accepted]


def _listed(words: Iterable[str], last: str) -> str:
    """Keywords as a list, with ``last`` before the last one: `a`, `b` or `c`."""
    return _joined([f"`{word}`" for word in words], last)


def _joined(parts: list[str], last: str) -> str:
    *others, final = parts
    return f"{', '.join(others)} {last} {final}" if others else final


def _short(token: Token) -> str:
    text = str(token)
    return text if len(text) <= 40 else text[:37] + "…"
