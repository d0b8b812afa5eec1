"""The formatter: the canonical layout of a ``.grain`` file.

It changes only white space. Each statement is on its own line, with at most one empty line between
statements; those of a variant are indented. The `=` of neighbouring regions and the `->` of
neighbouring edits are aligned. Comments stay beside their statements.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lark import Token

from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.text.readable import unreadable
from grainspec.text.spans import Lines
from grainspec.text.tokens import collector_paused, grammar, statements

WIDTH = 100
"""Longer statements are broken before a word, where possible."""

_INDENT = "    "
_COMMENTS = re.compile(r'"(?:\\.|[^"\\\n])*"|(#[^\n]*)')
_ALIGNED = {"REGION": "EQUAL", "EDIT": "_ARROW", "ADD": "_ARROW"}
_EDITS = frozenset({"EDIT", "ADD", "KEEP", "FREE"})
_TIGHT_BEFORE = frozenset({"RPAR", "COMMA"})
_TIGHT_AFTER = frozenset({"LPAR", "TILDE"})


@dataclass
class _Line:
    """A statement with the comments inside and after it, or a comment on its own."""

    tokens: list[Token]
    last_row: int
    open: bool
    """Whether the statement is not yet complete."""
    inside: bool
    """Whether it is in a variant."""
    pad: int = 0
    """Spaces to add before the sign that is aligned."""

    @property
    def sign(self) -> int | None:
        """The index of the sign that is aligned, if the line has one."""
        kind = _ALIGNED.get(self.tokens[0].type)
        return next((i for i, token in enumerate(self.tokens) if token.type == kind), None)

    @property
    def group(self) -> str:
        """The group of the line; its neighbours of the same group are aligned with it."""
        kind = self.tokens[0].type
        return "edits" if kind in _EDITS else kind


def format_text(text: str, *, path: str | None = None) -> str:
    r"""The canonical layout of a spec's text.

    Formatting it again changes nothing, and parsing either text gives the same spec. Raises
    GrainError with every syntax error if the text cannot be read.

    >>> print(format_text('grain 1  video "c.mp4"{step 2}\n\n\nregion a=~(b)  region sky = rest'))
    grain 1
    video "c.mp4" { step 2 }
    <BLANKLINE>
    region a   = ~(b)
    region sky = rest
    <BLANKLINE>
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    finding = unreadable(text)
    findings = [finding] if finding else []
    if findings:
        raise GrainError(findings, source=text, path=path)
    with collector_paused():
        lines = _lines(text, findings)
    if findings:
        raise GrainError(findings, source=text, path=path)
    blocks = _blocks(lines)
    for block in blocks:
        _align(block)
    return "\n".join("".join(f"{_write(line)}\n" for line in block) for block in blocks)


def _lines(text: str, findings: list[Diagnostic]) -> list[_Line]:
    """Statements and comments in order; syntax errors become findings."""
    ends = set()
    for statement in statements(text, set()):
        findings += statement.findings
        ends.add((statement.span.end_line, statement.span.end_column))
    if findings:
        return []
    lines: list[_Line] = []
    inside = False
    for token in sorted([*grammar().lex(text), *_comments(text)], key=_place):
        last_row = token.end_line or 1
        last = lines[-1] if lines else None
        if token.type == "COMMENT":
            beside = last is not None and last.last_row == token.line
            if last is not None and (last.open or beside):
                last.tokens.append(token)
            else:
                lines.append(_Line([token], last_row, open=False, inside=inside))
                continue
        elif last is not None and last.open:
            last.tokens.append(token)
        else:
            inside = inside and token.type != "RBRACE"  # which ends a variant
            last = _Line([token], last_row, open=token.type != "RBRACE", inside=inside)
            lines.append(last)
            inside = inside or token.type == "VARIANT"
        last.last_row = last_row
        if token.type != "COMMENT" and (last_row, token.end_column) in ends:
            last.open = False
    return lines


def _comments(text: str) -> list[Token]:
    lines = Lines(text)
    found = []
    for match in _COMMENTS.finditer(text):
        if match[1]:
            place = lines.span(*match.span(1))
            row, column = place.line, place.column
            found.append(Token("COMMENT", match[1].rstrip(), line=row, column=column, end_line=row))
    return found


def _place(token: Token) -> tuple[int, int]:
    return token.line or 1, token.column or 1


def _blocks(lines: list[_Line]) -> list[list[_Line]]:
    """The lines, split at empty lines."""
    blocks: list[list[_Line]] = []
    for index, line in enumerate(lines):
        last = lines[index - 1] if index else None
        first_row = line.tokens[0].line or 1
        at_brace = last is not None and (
            line.tokens[0].type == "RBRACE" or last.tokens[0].type == "VARIANT"
        )
        if last is None or (first_row - last.last_row > 1 and not at_brace):
            blocks.append([])
        blocks[-1].append(line)
    return blocks


def _align(block: list[_Line]) -> None:
    """Align the signs of neighbouring statements of the same kind."""
    run: list[_Line] = []
    group = ""
    for line in [*block, None]:
        if line is not None and line.group == "COMMENT":
            continue
        if line is None or line.group != group:
            signed = [(line, line.sign) for line in run]
            widths = {
                id(line): len(_joined(line.tokens[:sign]))
                for line, sign in signed
                if sign is not None and "COMMENT" not in {t.type for t in line.tokens[:sign]}
            }
            widest = max(widths.values(), default=0)
            for member in run:
                if id(member) in widths:
                    member.pad = widest - widths[id(member)]
            run = []
        if line is not None:
            run.append(line)
            group = line.group


def _write(line: _Line) -> str:
    """A line's text, broken after comments inside it and before words that would exceed WIDTH."""
    margin = _INDENT * line.inside
    sign, text, column = line.sign, margin, len(margin)
    before: Token | None = None
    for index, token in enumerate(line.tokens):
        space = _space(before, token) + " " * (line.pad if index == sign else 0)
        if before is not None and (
            before.type == "COMMENT"
            or (token.type == "COMMENT" and (before.end_line or 0) < (token.line or 0))
            or (space and token.type != "COMMENT" and column + len(space + token) > WIDTH)
        ):
            closes = token.type == "RBRACE" and before.type == "COMMENT"
            space, column = f"\n{margin}{'' if closes else _INDENT}", -1
        text += space + token
        column += len(space) + len(token)
        before = token
    return text


def _joined(tokens: list[Token]) -> str:
    pairs = zip([None, *tokens], tokens, strict=False)
    return "".join(_space(before, token) + token for before, token in pairs)


def _space(before: Token | None, token: Token) -> str:
    if before is None or token.type in _TIGHT_BEFORE or before.type in _TIGHT_AFTER:
        return ""
    if token.type == "LPAR" and before.type == "NAME":
        return ""
    return "  " if token.type == "COMMENT" else " "
