"""Corrections that an editor offers: of single findings, of all, and of the layout."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import NamedTuple

from grainspec.analysis.document import MAX_ANALYSED, Document
from grainspec.analysis.edits import TextEdit
from grainspec.diagnostics import Diagnostic
from grainspec.diagnostics.fixing import fix_text
from grainspec.text.format import format_text
from grainspec.text.kinds import quoted

MAX_LINES = 5_000
"""Lines of a text that are compared one by one; a longer text is replaced as a whole."""

_MEANT = re.compile(r"Did you mean [`“](?P<text>[^`”]+)[`”]\?")
_IN_MASKS = re.compile(r'masks\s*\(\s*("[^"\n]*")')
_NO_FILE = "does not exist"
"""The end of the message about a path that leads nowhere; its cure has the path's end."""
_WORD = re.compile(r'"(?:\\.|[^"\\\n])*"|[^\W\d]\w*')


class Correction(NamedTuple):
    """A correction of one finding; ``certain`` if nothing else can be meant."""

    title: str
    finding: Diagnostic
    edits: tuple[TextEdit, ...]
    certain: bool


def corrections(
    document: Document, findings: Iterable[Diagnostic], start: int, end: int
) -> Iterator[Correction]:
    """The corrections of the findings that touch the characters from ``start`` to ``end``.

    >>> text = 'grain 1 video "c" target "a bear" region left = all edit lefft -> "bear"'
    >>> document = Document(text, None)
    >>> [one.title for one in corrections(document, document.findings, 57, 57)]
    ['Replace `lefft` by `left`']
    """
    for finding in findings:
        if finding.span is None or finding.span.path is not None:
            continue
        first, last = document.positions.offsets(finding.span)
        if last < start or end < first:
            continue
        if finding.fixes:
            edits = tuple(_edits_of(document, finding))
            yield Correction(_title(document, finding, edits), finding, edits, True)
        elif meant := _meant(document, finding, first, last):
            word = document.text[meant.start : meant.end]
            title = f"Replace `{word}` by `{meant.text}`"
            yield Correction(title, finding, (meant,), False)
        elif kept := _KEPT.search(finding.cure):
            edit = _new_line(document, first, kept[1])
            yield Correction(f"Protect the region: `{kept[1]}`", finding, (edit,), False)
        elif finding.code == "G007":
            edit = TextEdit(*_whole_line(document, first), "")
            yield Correction("Remove the second one", finding, (edit,), False)


def all_fixed(document: Document) -> list[TextEdit]:
    """The edits that make every correction that is certain; empty if there is none."""
    if len(document.text) > MAX_ANALYSED or not any(one.fixes for one in document.findings):
        return []
    fixed = fix_text(document.text, lambda text: Document(text, None).findings)
    return changed_lines(document.text, fixed.text)


def formatted(document: Document) -> list[TextEdit]:
    """The edits that lay the text out in the canonical style.

    Line ends stay those of the text. Raises GrainError for a text with syntax errors.
    """
    wanted = format_text(document.plain)
    if document.text.count("\r\n") * 2 > document.text.count("\n"):
        wanted = wanted.replace("\n", "\r\n")
    if document.text.startswith("\ufeff"):
        wanted = f"\ufeff{wanted}"
    return changed_lines(document.text, wanted)


def changed_lines(before: str, after: str) -> list[TextEdit]:
    r"""The edits, of whole lines, that make one text of another.

    >>> changed_lines("grain 1\n\nkeep  sky\n", "grain 1\n\nkeep sky\n")
    [TextEdit(start=9, end=19, text='keep sky\n')]
    """
    if before == after:
        return []
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    if max(len(old), len(new)) > MAX_LINES:
        return [TextEdit(0, len(before), after)]
    starts = [0]
    for line in old:
        starts.append(starts[-1] + len(line))
    return [
        TextEdit(starts[i], starts[j], "".join(new[k:m]))
        for kind, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        if kind != "equal"
    ]


def _edits_of(document: Document, finding: Diagnostic) -> Iterator[TextEdit]:
    for fix in finding.fixes:
        yield TextEdit(*document.positions.offsets(fix.span), fix.text)


def _title(document: Document, finding: Diagnostic, edits: tuple[TextEdit, ...]) -> str:
    """What a correction does, in one line."""
    if len(edits) == 1:
        old, new = document.text[edits[0].start : edits[0].end].strip(), edits[0].text.strip()
        if "\n" not in old + new and len(old) + len(new) <= 80:
            if not new:
                return f"Remove `{old}`"
            return f"Replace `{old}` by `{new}`" if old else f"Insert `{new}`"
    return f"Correct: {finding.message}"


_KEPT = re.compile(r"protect it with `(keep [^`]+)`")


def _new_line(document: Document, offset: int, statement: str) -> TextEdit:
    """The edit that writes a statement below the last one about regions, outside variants."""
    last = max(
        (one.end for one in document.statements if one.keyword in _OF_REGIONS and not one.variant),
        default=offset,
    )
    number, _ = document.positions.position(last)
    end = document.positions.start_of_line(number) + len(document.positions.line(number))
    line_end = "\r\n" if "\r\n" in document.text else "\n"
    return TextEdit(end, end, f"{line_end}{statement}")


_OF_REGIONS = frozenset({"region", "edit", "add", "keep", "free"})


def _whole_line(document: Document, offset: int) -> tuple[int, int]:
    """The place of the statement at an offset, with its lines if nothing else is there."""
    statement = next(one for one in document.statements if one.start <= offset < one.end)
    places = document.positions
    first, last = places.position(statement.start)[0], places.position(statement.end)[0]
    start, end = places.start_of_line(first), len(document.text)
    if last + 1 < places.lines:
        end = places.start_of_line(last + 1)
    around = document.text[start : statement.start] + document.text[statement.end : end]
    return (statement.start, statement.end) if around.strip() else (start, end)


def _meant(document: Document, finding: Diagnostic, start: int, end: int) -> TextEdit | None:
    """The edit that a cure asks about, if the finding is about one word."""
    match = _MEANT.search(finding.cure)
    written = document.plain[start:end]
    if match and finding.message.endswith(_NO_FILE):
        return _path_meant(written, start, match["text"])
    if match is None or not _WORD.fullmatch(written):
        return None
    if written.startswith('"'):
        return TextEdit(start + 1, end - 1, quoted(match["text"])[1:-1])
    return TextEdit(start, end, match["text"])


def _path_meant(written: str, start: int, meant: str) -> TextEdit | None:
    """The edit of the path in a clip or in `masks(…)` whose end is meant to be another one."""
    match = _WORD.search(written) if written.startswith('"') else _IN_MASKS.match(written)
    if match is None:
        return None
    path = match[match.lastindex or 0]
    kept = path[1:-1].split("/")[: -len(meant.split("/"))]
    if "\\" in path or "" in kept[1:]:
        return None
    whole = quoted("/".join([*kept, meant]))
    first = start + match.start(match.lastindex or 0)
    return TextEdit(first, first + len(path), whole)
