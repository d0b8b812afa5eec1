"""Corrections that are certain: after them, a statement that had mistakes can be read.

Rules propose corrections of a statement's text. They count only if the corrected statement is read
without a finding; then they replace the findings of the parser, each with its change as a fix.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from grainspec.diagnostics import Diagnostic, Fix
from grainspec.model.statements import STATEMENTS
from grainspec.text.draft import Change, Correction, Draft, Rule
from grainspec.text.foreign import STATEMENTS_OF_OTHERS
from grainspec.text.notation import SIGNS
from grainspec.text.spans import Lines
from grainspec.text.structure import ALONE, STRUCTURE
from grainspec.text.tokens import Statement

MAX_LENGTH = 2_000
"""Longer statements are not corrected: every rule reads them again."""
MAX_STATEMENTS = 50
"""The number of statements for which corrections are sought."""
MAX_CORRECTED = 6_000
"""Characters of all statements for which corrections are sought: a second, whatever they are."""
_OF_NOTATION = frozenset("G001 G002 G003 G011 G201 G202 G203 G204 G205".split())
"""The codes of findings that can be due to another notation."""
_SHOWN = 100

Reads = Callable[[str], bool]
"""Whether a statement's text is read without findings."""


def corrected(
    text: str, lines: Lines, statement: Statement, findings: Sequence[Diagnostic], reads: Reads
) -> list[Diagnostic] | None:
    """The mistakes in a statement with their corrections; None if none is certain.

    ``findings`` are those of the parser; their first one gives the code.
    """
    written = text[statement.start : statement.end]
    if not written or len(written) > MAX_LENGTH or findings[0].code not in _OF_NOTATION:
        return None
    draft = next(filter(None, (_draft(written, rules, reads) for rules in _attempts())), None)
    if draft is None:
        return None
    return [
        _finding(correction, draft, statement, lines, findings[0])
        for correction in draft.corrections
    ]


def _attempts() -> Iterator[Sequence[Rule]]:
    """Each rule by itself, then all of them."""
    rules = (*SIGNS, *STRUCTURE)
    for rule in rules:
        yield (rule,)
    yield rules


def _draft(written: str, rules: Sequence[Rule], reads: Reads) -> Draft | None:
    draft = Draft(written)
    for rule in rules:
        found = [
            correction
            for start, part in _parts(draft.text)
            for correction in _moved(rule(part), start)
        ]
        if found:
            draft.correct(_merged(found))
    if draft.corrections and draft.is_sound and reads(draft.text):
        return draft
    return None


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """The text in parts that begin with a keyword, each with its offset.

    A mistake can hide that a statement ends, and the next one is then read as a part of it.
    """
    starts = [0]
    for match in _KEYWORD.finditer(text):
        inside = text[starts[-1] : match.start(1)]
        if match.start(1) and inside.count("{") == inside.count("}"):
            starts.append(match.start(1))
    for start, end in pairwise([*starts, len(text)]):
        if text[start:end].strip():
            yield start, text[start:end]


def _moved(corrections: Iterable[Correction], by: int) -> Iterator[Correction]:
    for correction in corrections:
        changes = (
            Change(change.start + by, change.end + by, change.text) for change in correction.changes
        )
        yield correction._replace(changes=tuple(changes))


_WORDS = "|".join([*STATEMENTS, *STATEMENTS_OF_OTHERS, *ALONE])
_KEYWORD = re.compile(rf"(?m)^[ \t]*((?:-[ \t]*)?(?:{_WORDS})\b)")
"""A word that begins a statement, here or elsewhere, at the start of a line."""


def _merged(corrections: Sequence[Correction]) -> list[Correction]:
    """The corrections, with those of the same mistake as one."""
    merged: dict[str, Correction] = {}
    for correction in corrections:
        first = merged.get(correction.message)
        changes = (*(first.changes if first else ()), *correction.changes)
        merged[correction.message] = (first or correction)._replace(changes=changes)
    return list(merged.values())


def _finding(
    correction: Correction, draft: Draft, statement: Statement, lines: Lines, first: Diagnostic
) -> Diagnostic:
    changes = [
        Change(change.start + statement.start, change.end + statement.start, change.text)
        for change in correction.changes
    ]
    start, end = _visible(lines.text, changes)
    code = correction.code or first.code
    fixes = tuple(Fix(lines.span(change.start, change.end), change.text) for change in changes)
    cure = correction.cure or _cure(correction, draft.text)
    return Diagnostic(code, correction.message, cure, lines.span(start, end), fixes, first.related)


def _visible(text: str, changes: Sequence[Change]) -> tuple[int, int]:
    """The place of changes, without white space around it."""
    start, end = min(change.start for change in changes), max(change.end for change in changes)
    inside = text[start:end]
    if not inside.strip():
        return start, end
    start += len(inside) - len(inside.lstrip())
    return start, start + len(inside.strip())


def _cure(correction: Correction, statement: str) -> str:
    """Show the corrected statement; if it is long, what to write at this place."""
    if statement and len(statement) <= _SHOWN and "\n" not in statement:
        return f"Write `{statement}`."
    text = correction.changes[0].text.strip()
    return f"Write `{text}`." if text else "Remove it."
