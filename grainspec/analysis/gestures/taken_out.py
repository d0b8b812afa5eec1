"""What is taken out of a text: statements, and items of a list, with the comments beside them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from grainspec.analysis.edits import TextEdit
from grainspec.analysis.gestures.placing import END_OF_ROW, neighbours, row_start
from grainspec.analysis.gestures.spec_text import SpecText
from grainspec.text.tokens import Statement

_COMMENTS_ABOVE = re.compile(r"(?:^[^\S\n]*#[^\n]*\n)+\Z", re.MULTILINE)
_REST_OF_ITEM = re.compile(r"[^\S\r\n]*,?[^\S\r\n]*(?:#[^\r\n]*)?(?=\r?\n|\Z)")
_COMMA = re.compile(r"#[^\n]*|,")


def removed_statement(text: str, statement: Statement) -> TextEdit:
    """Remove a statement: its rows with the comment beside it, if it is alone in them."""
    start = row_start(text, statement)
    row = END_OF_ROW.match(text, statement.end)
    if row is None or text[start : statement.start].strip():
        gap = re.compile(r"[^\S\r\n]*").match(text, statement.end)
        return TextEdit(statement.start, gap.end() if gap else statement.end, "")
    end = text.find("\n", row.end()) + 1 or len(text)
    return _rows(text, start, end)


def _rows(text: str, start: int, end: int) -> TextEdit:
    """Remove whole rows, and one of two empty ones that would be left."""
    blank = re.compile(r"[^\S\n]*\n").match(text, end)
    if blank and (not start or text[:start].endswith(("\n\n", "\n\r\n"))):
        end = blank.end()
    return TextEdit(start, end, "")


def removed_with_comment(written: SpecText, statement: Statement) -> TextEdit:
    """Remove a statement, and the comment in the rows above it if that is about it alone.

    A comment above the first of several statements of a kind may be about all of them: it stays.
    """
    text, removed = written.text, removed_statement(written.text, statement)
    above = _COMMENTS_ABOVE.search(text, 0, removed.start)
    if above is None or removed.start != row_start(text, statement):
        return removed
    before, after = _beside(written, statement)
    heads = before is None or not neighbours(text, before, statement)
    together = after is not None and neighbours(text, statement, after)
    if heads and after and together and "#" not in text[removed.end : after.start]:
        return removed
    return _rows(text, above.start(), removed.end)


def _beside(written: SpecText, statement: Statement) -> tuple[Statement | None, Statement | None]:
    """The statements before and after one."""
    every = written.statements
    at = next(place for place, one in enumerate(every) if one is statement)
    return every[at - 1] if at else None, every[at + 1] if at + 1 < len(every) else None


def removed_item(text: str, items: Sequence[tuple[int, int]], index: int) -> list[TextEdit]:
    """Remove one of several items with commas between them; comments between them stay."""
    start, end = items[index]
    gap = (items[index - 1][1], start) if index else (end, items[1][0])
    if "#" not in text[slice(*gap)]:
        return [TextEdit(min(start, gap[0]), max(end, gap[1]), "")]
    return [_comma(text, gap), TextEdit(start, end, "")]


def removed_row(text: str, items: Sequence[tuple[int, int]], index: int) -> list[TextEdit]:
    """Remove one of several items with commas between them, and the comment beside it in its row.

    One that shares its row with others is removed as :func:`removed_item` does.
    """
    start, end = items[index]
    row = _REST_OF_ITEM.match(text, end)
    if row is None or not ("#" in row[0] or index):
        return removed_item(text, items, index)
    if not index:
        return [_first(text, start, row.end(), items[1][0])]
    first = text.rfind("\n", 0, start)
    if text[first + 1 : start].strip():
        return removed_item(text, items, index)
    first -= text[:first].endswith("\r")
    comma = [] if index + 1 < len(items) else [_comma(text, (items[index - 1][1], start))]
    return [*comma, TextEdit(first, row.end(), "")]


def _first(text: str, start: int, end: int, after: int) -> TextEdit:
    """Remove the first item and its comment; the next one moves up unless comments are between."""
    if "#" not in text[end:after]:
        return TextEdit(start, after, "")
    return TextEdit(len(text[:start].rstrip(" \t")), end, "")


def _comma(text: str, gap: tuple[int, int]) -> TextEdit:
    """Remove the comma between two items, which no comment has."""
    comma = next(m for m in _COMMA.finditer(text, *gap) if m[0] == ",")
    return TextEdit(comma.start(), comma.end(), "")
