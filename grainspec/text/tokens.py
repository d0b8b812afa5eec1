"""Text to statements: the lexer, and one parse tree per statement.

Statements are parsed one by one, so that a mistake in one hides nothing of the others.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedToken
from lark.parsers.lalr_interactive_parser import InteractiveParser

from grainspec.diagnostics import Diagnostic, closest
from grainspec.names import RESERVED, STATEMENTS
from grainspec.nodes import Span
from grainspec.regions.expressions import MAX_DEPTH

_STARTERS = frozenset(word.upper() for word in STATEMENTS)  # their terminals in the grammar
_JOINERS = frozenset({"VBAR", "AMPERSAND", "MINUS"})
_MODIFIERS = frozenset({"GROW", "SHRINK", "DURING"})
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
_INSTEAD = {
    **dict.fromkeys("“”„«»‘’'`", 'Texts stand in straight double quotes: `"…"`.'),
    **dict.fromkeys("→⇒➔", "Write the arrow as `->`."),
    **dict.fromkeys("×✕", "Write a size with the letter x, as `512x512`."),
    **dict.fromkeys("−–—‐", "Write `-`."),
    "…": "Write a range with two dots, as `0..30`.",
}
"""What to write for signs that word processors put in place of the language's."""


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
    """Where a token stands."""
    return Span(token.line or 1, token.column or 1, token.end_line or 1, token.end_column or 1)


def span_between(first: Token, last: Token) -> Span:
    """From the start of one token to the end of another."""
    return span_of(first).to(span_of(last))


class Statement:
    """One statement's parse tree and the stretch of text it came from."""

    def __init__(self, tree: Tree[Token], first: Token, last: Token) -> None:
        self.tree = tree
        self.span = span_between(first, last)


def statements(text: str, findings: list[Diagnostic], unread: set[str]) -> Iterator[Statement]:
    """The statements of ``text``; what cannot be parsed becomes a finding and is left out.

    ``unread`` takes the keywords of those left out, and the names of regions they would define.
    """
    parser = grammar()
    tokens = list(parser.lex(text))
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if token.type not in _STARTERS:
            findings.append(_no_statement(token))
            position = _next_statement(tokens, position + 1)
            continue
        machine = parser.parse_interactive(start="statement")
        start = position
        failed = len(findings)
        brackets: list[int] = []  # for each open bracket, the `~` in a row before it
        row = 0  # `~` in a row
        behind = 0  # `grow` and its like behind one region
        while True:
            if position == len(tokens) or (
                position > start and _may_begin(machine, tokens, position) and _may_end(machine)
            ):
                try:
                    tree = machine.feed_eof(tokens[position - 1])  # type: ignore[no-untyped-call]
                    yield Statement(tree, tokens[start], tokens[position - 1])
                except UnexpectedToken:
                    findings.append(_ends_early(machine, tokens[position - 1]))
                break
            token = tokens[position]
            if token.type in _OPENERS:
                brackets.append(row)
            elif token.type in _CLOSERS and brackets:
                brackets.pop()
            row = row + 1 if token.type == "TILDE" else 0
            behind = 0 if token.type in _JOINERS else behind + (token.type in _MODIFIERS)
            if len(brackets) + sum(brackets) + row + behind > MAX_DEPTH:
                message = f"this nests more than {MAX_DEPTH} deep"
                cure = "Name a part of it as a region of its own."
                findings.append(Diagnostic("G004", message, cure, span_of(token)))
                position = _next_statement(tokens, position)
                break
            try:
                machine.feed_token(token)
            except UnexpectedToken:
                if token.type in _STARTERS and _begins_line(tokens, position):
                    findings.append(_ends_early(machine, tokens[position - 1]))
                else:
                    findings.append(_unexpected(machine, token, tokens[position - 1]))
                    position = _next_statement(tokens, position)
                break
            position += 1
        if len(findings) > failed:
            unread.add(str(tokens[start]))
            if tokens[start].type == "REGION" and start + 1 < len(tokens):
                unread.add(str(tokens[start + 1]))


def _next_statement(tokens: list[Token], position: int) -> int:
    """The next keyword that begins a line, from ``position`` on."""
    while position < len(tokens):
        if tokens[position].type in _STARTERS and _begins_line(tokens, position):
            break
        position += 1
    return position


def _begins_line(tokens: list[Token], position: int) -> bool:
    return position == 0 or tokens[position - 1].end_line != tokens[position].line


def _may_end(machine: InteractiveParser) -> bool:
    return "$END" in machine.choices()  # type: ignore[no-untyped-call]


def _may_begin(machine: InteractiveParser, tokens: list[Token], position: int) -> bool:
    """Whether a token begins a statement, or a name that was meant to and fits nothing else."""
    kind = tokens[position].type
    if kind == "NAME" and _begins_line(tokens, position):
        return "NAME" not in machine.accepts()  # type: ignore[no-untyped-call]
    return kind in _STARTERS


def _no_statement(token: Token) -> Diagnostic:
    strange = _strange(token)
    if strange:
        return strange
    near = closest(str(token), STATEMENTS)
    cure = f"Did you mean `{near}`?" if near else f"Statements begin with {_either(STATEMENTS)}."
    return Diagnostic("G001", f"`{_short(token)}` begins no statement", cure, span_of(token))


def _strange(token: Token) -> Diagnostic | None:
    """A finding for a token that is none of the language's."""
    if token.type == "UNCLOSED":
        message, cure = "this text is never closed", 'Close it with `"` on the same line.'
        return Diagnostic("G002", message, cure, span_of(token))
    if token.type == "WRONG":
        sign = str(token)[0]
        shown = f"`{_short(token)}`"
        if not sign.isascii():
            named = unicodedata.name(sign, "")
            shown = f"U+{ord(sign):04X}{f' ({named.lower()})' if named else ''}"
            shown = f"`{sign}`, {shown}," if sign.isprintable() else f"the character {shown}"
        message = f"{shown} is no word, number or sign of the language"
        cure = _INSTEAD.get(sign, "" if sign.isascii() else "Take it out.")
        if sign.isdigit():
            cure = "Numbers look like `2`, `0.5`, `30%`, `40px`, `0..30` or `512x512`."
        return Diagnostic("G003", message, cure, span_of(token))
    return None


def _unexpected(machine: InteractiveParser, token: Token, before: Token) -> Diagnostic:
    strange = _strange(token)
    if strange:
        return strange
    expected = _expected(machine)
    message = f"`{_short(token)}` cannot stand here, after `{_short(before)}`"
    if "a name" in expected and str(token) in RESERVED:
        message = f"`{token}` is a word of the language and cannot be a name here"
        return Diagnostic("G001", message, f"Choose another, such as `my_{token}`.", span_of(token))
    cure = f"Expected {_either(expected, quoted=True)}." if expected else ""
    return Diagnostic("G001", message, cure, span_of(token))


def _ends_early(machine: InteractiveParser, last: Token) -> Diagnostic:
    expected = _expected(machine)
    message = f"the statement ends too early, after `{_short(last)}`"
    cure = f"Expected {_either(expected, quoted=True)}." if expected else ""
    return Diagnostic("G001", message, cure, span_of(last))


def _expected(machine: InteractiveParser) -> list[str]:
    accepted = machine.accepts()  # type: ignore[no-untyped-call]
    return [spoken for terminal, spoken in _SPOKEN.items() if terminal in accepted]


def _either(words: object, *, quoted: bool = False) -> str:
    shown = [word if quoted else f"`{word}`" for word in words]  # type: ignore[attr-defined]
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " or " + shown[-1]


def _short(token: Token) -> str:
    text = str(token)
    return text if len(text) <= 40 else text[:37] + "…"
