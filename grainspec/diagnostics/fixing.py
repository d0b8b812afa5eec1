"""Correct a text by the fixes of its findings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from grainspec.diagnostics.diagnostic import Diagnostic, Fix

MAX_ROUNDS = 20
"""Corrections can show further mistakes, which are corrected in the next round."""


class Fixed(NamedTuple):
    """A corrected text, the mistakes that were corrected, and the findings that are left."""

    text: str
    corrected: tuple[Diagnostic, ...]
    left: tuple[Diagnostic, ...]


def fix_text(text: str, check: Callable[[str], Sequence[Diagnostic]]) -> Fixed:
    """Apply the fixes of a text's findings until none is left, or none helps.

    ``check`` gives the findings of a text. A round that leaves more errors than there were, or
    more statements that stand twice, is taken back.
    """
    corrected: list[Diagnostic] = []
    findings = check(text)
    for _ in range(MAX_ROUNDS):
        better, applied = apply_fixes(text, findings)
        if not applied or better == text:
            break
        after = check(better)
        if _errors(after) > _errors(findings) or _doubled(after) > _doubled(findings):
            break
        text, findings = better, after
        corrected += applied
    return Fixed(text, tuple(corrected), tuple(findings))


def _errors(findings: Iterable[Diagnostic]) -> int:
    return sum(finding.is_error for finding in findings)


def _doubled(findings: Iterable[Diagnostic]) -> int:
    return sum(finding.code == "G007" for finding in findings)


def apply_fixes(text: str, findings: Iterable[Diagnostic]) -> tuple[str, list[Diagnostic]]:
    r"""Apply the fixes of findings to a text; return it, and the findings whose fixes were applied.

    A finding whose fixes overlap those of an earlier one is passed over. Line ends stay as they
    are.

    >>> from grainspec.diagnostics.span import Span
    >>> finding = Diagnostic("G001", "", fixes=(Fix(Span(2, 1, 2, 5), "edit"),))
    >>> apply_fixes("grain 1\r\nEDIT", [finding])[0]
    'grain 1\r\nedit'
    """
    starts = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]
    changes: list[tuple[int, int, str]] = []
    applied = []
    for finding in findings:
        new = [(*_offsets(fix, starts, len(text)), fix.text) for fix in finding.fixes]
        if new and not any(_overlap(change, other) for change in new for other in changes):
            changes += new
            applied.append(finding)
    parts, position = [], 0
    for start, end, new_text in sorted(changes, key=lambda change: change[:2]):
        parts += [text[position:start], new_text]
        position = end
    return "".join([*parts, text[position:]]), applied


def _offsets(fix: Fix, starts: Sequence[int], length: int) -> tuple[int, int]:
    span = fix.span
    lines = ((span.line, span.column), (span.end_line, span.end_column))
    start, end = (
        starts[line - 1] + column - 1 if line <= len(starts) else length for line, column in lines
    )
    return start, end


def _overlap(one: tuple[int, int, str], other: tuple[int, int, str]) -> bool:
    if one[0] == one[1] and other[0] == other[1]:
        return one[0] == other[0]
    return one[0] < other[1] and other[0] < one[1]
