"""Where a new statement goes, and how it is laid out: in the columns of those beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from grainspec.analysis.edits import TextEdit
from grainspec.analysis.gestures.spec_text import SpecText, keyword_of
from grainspec.text.format import format_text
from grainspec.text.tokens import Statement

_EDITS = ("edit", "add")
_CLAIMS = (*_EDITS, "keep", "free")
_HEAD = ("grain", "video", "model", "motion_adapter", "source", "target", "negative")
_SIGN = re.compile(r'#[^\n]*|"(?:\\.|[^"\\\n])*"|(?P<sign>=|->)')
END_OF_ROW = re.compile(r"[^\S\r\n]*(?:#[^\n]*?)?(?=\r?\n|\Z)")
_EMPTY_ROW = re.compile(r"\n[^\S\n]*\n")
_INDENT = "    "


def inserted(written: SpecText, statement: str, variant: int = 0) -> list[TextEdit]:
    """The edits that add a statement about a region: `region …`, `edit …`, `keep …`.

    It goes after the last of its kind, with its sign under theirs if they are aligned and it is not
    longer. Theirs stay where they are.
    """
    anchor, near = _anchor(written, statement.split()[0], variant)
    run = _run(written, anchor) if anchor and near else []
    text = _laid_out(statement, _column(written.text, run), indented=variant > 0)
    if anchor is None:
        return [_alone(written, text)]
    return [_after(written.text, anchor, text, apart=not near)]


def _alone(written: SpecText, text: str) -> TextEdit:
    """Put rows where there is nothing of their kind: before the variants, or at the end."""
    variant = next((one for one in written.statements if one.variant), None)
    if variant is not None:
        return TextEdit(variant.start, variant.start, f"{text}\n\n")
    end = len(written.text)
    gap = "\n" if written.text and not written.text.endswith("\n") else ""
    return TextEdit(end, end, f"{gap}{text}\n")


def replaced_statement(written: SpecText, old: Statement, new: str) -> list[TextEdit]:
    """The edits that put another statement about a region in a statement's place."""
    run = [one for one in _run(written, old) if one is not old]
    text = _laid_out(new, _column(written.text, run), indented=old.variant > 0)
    return [TextEdit(old.start, old.end, text.lstrip())]


def _anchor(written: SpecText, keyword: str, variant: int) -> tuple[Statement | None, bool]:
    """The statement after which one of a kind goes, and whether it is of that kind."""
    inside = [one for one in written.statements if one.variant == variant and one.tree is not None]
    kinds = [("region",)] if keyword == "region" else [_EDITS, _CLAIMS]
    for kind in [*kinds, ("region",)]:
        if found := [one for one in inside if keyword_of(one) in kind]:
            return found[-1], kind in kinds
    if variant:
        return inside[-1], True
    head = [one for one in inside if keyword_of(one) in _HEAD]
    return (head[-1] if head else None), False


def _group(statement: Statement) -> str:
    """The name of the statements that are aligned with this one."""
    keyword = keyword_of(statement)
    return "edits" if keyword in _CLAIMS else keyword


def _run(written: SpecText, anchor: Statement) -> list[Statement]:
    """The neighbours of the same kind around a statement that are aligned with it."""
    every = written.statements
    at = next(place for place, one in enumerate(every) if one is anchor)
    first, last = at, at
    while first and neighbours(written.text, every[first - 1], every[first]):
        first -= 1
    while last + 1 < len(every) and neighbours(written.text, every[last], every[last + 1]):
        last += 1
    run = every[first : last + 1]
    signed = [one for one in run if keyword_of(one) in ("region", *_EDITS)]
    return [
        one for one in signed if not written.text[row_start(written.text, one) : one.start].strip()
    ]


def row_start(text: str, statement: Statement) -> int:
    """Where the row begins in which a statement does."""
    return text.rfind("\n", 0, statement.start) + 1


def neighbours(text: str, one: Statement, other: Statement) -> bool:
    """Whether two statements of a kind stand together, with no empty row between them."""
    gap = text[one.end : other.start]
    same = _group(one) == _group(other) and one.variant == other.variant
    return same and "\n" in gap and not _EMPTY_ROW.search(gap)


def _sign(text: str, statement: Statement) -> int | None:
    """The offset of a statement's `=` or `->`, if it is in the statement's first row."""
    for match in _SIGN.finditer(text, statement.start, statement.end):
        if match["sign"]:
            start = match.start()
            return None if "\n" in text[statement.start : start] else start
    return None


def _column(text: str, run: Sequence[Statement]) -> int | None:
    """How far the signs of statements are from their starts, if all are aligned; None if not."""
    signs = [(one, _sign(text, one)) for one in run]
    columns = {sign - one.start for one, sign in signs if sign is not None}
    gaps = [text[one.start : sign] for one, sign in signs if sign is not None]
    tight = any(gap == gap.rstrip() + " " for gap in gaps)
    return columns.pop() if len(columns) == 1 and tight else None


def _laid_out(statement: str, column: int | None, *, indented: bool) -> str:
    """A statement's rows, its sign in a column if its words end before that."""
    text = format_text(f"variant v {{\n{statement}\n}}" if indented else statement)
    rows = text.splitlines()[1:-1] if indented else text.splitlines()
    found = _SIGN.search(rows[0])
    while found and not found["sign"]:
        found = _SIGN.search(rows[0], found.end())
    if column is not None and found is not None:
        missing = column + len(_INDENT) * indented - found.start()
        rows[0] = rows[0][: found.start()] + " " * missing + rows[0][found.start() :]
    return "\n".join(rows)


def _after(text: str, anchor: Statement, new: str, *, apart: bool) -> TextEdit:
    """Put rows after a statement and its comment; ``apart``: with an empty row between."""
    before = "\n\n" if apart else "\n"
    row = END_OF_ROW.match(text, anchor.end)
    if row is None:  # another statement is in the same row
        gap = re.compile(r"[^\S\r\n]*").match(text, anchor.end)
        return TextEdit(anchor.end, gap.end() if gap else anchor.end, f"{before}{new}\n")
    end = row.end()
    follows = text[end:].strip() and not re.match(r"\r?\n[^\S\n]*(?:\r?\n|\Z)", text[end:])
    after = "\n" if apart and follows else ""
    return TextEdit(end, end, f"{before}{new}{after}")
