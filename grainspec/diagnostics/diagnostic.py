"""What is wrong, where, and what to do about it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from grainspec.diagnostics.codes import Severity, severity_of
from grainspec.diagnostics.span import Span, caller

UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What would move the cursor, turn the writing around or change colours on a terminal."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: a stable code, one sentence of what is wrong, and one of what to do.

    >>> finding = Diagnostic("G101", "no region is called `lefft`", "Did you mean `left`?")
    >>> finding.severity, str(finding)
    ('error', 'G101: no region is called `lefft`. Did you mean `left`?')
    """

    code: str
    message: str
    cure: str = ""
    span: Span | None = None

    @property
    def severity(self) -> Severity:
        """``error`` or ``warning``, as the code has it."""
        return severity_of(self.code)

    @property
    def is_error(self) -> bool:
        """Whether this stops the work."""
        return self.severity == "error"

    def as_json(self) -> dict[str, Any]:
        """A plain dict for machines; lines and columns count from 1."""
        found: dict[str, Any] = {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "cure": self.cure,
        }
        if self.span:
            found["line"], found["column"] = self.span.line, self.span.column
            found["end_line"], found["end_column"] = self.span.end_line, self.span.end_column
            if self.span.path:
                found["path"] = self.span.path
        return found

    def __str__(self) -> str:
        place = f"line {self.span.line}, column {self.span.column}: " if self.span else ""
        if self.span and self.span.path:
            place = f"{self.span.path}:{self.span.line}: "
        return place + self.without_place

    @property
    def without_place(self) -> str:
        """Code, message and cure."""
        cure = f". {self.cure}" if self.cure else ""
        return f"{self.code}: {self.message}{cure}"


class GrainError(Exception):
    """Something stopped the work; ``diagnostics`` says what, with every finding there was.

    ``source`` is the text that the spans point into and ``path`` where it was read from, if known.

    >>> from grainspec import parse
    >>> try:
    ...     parse('grain 1 video "c.mp4" target "a bear" region r = all edit r -> "cat"')
    ... except GrainError as error:
    ...     print([finding.code for finding in error.diagnostics])
    ['G104']
    """

    def __init__(
        self,
        diagnostics: Iterable[Diagnostic],
        *,
        source: str | None = None,
        path: str | None = None,
    ) -> None:
        self.diagnostics = tuple(diagnostics)
        self.source = source
        self.path = path
        super().__init__("\n".join(map(str, self.diagnostics)))

    def __str__(self) -> str:
        """One finding a line, each with its place, in the file if that is known."""
        if not self.path:
            return super().__str__()
        name = visible(self.path)
        return "\n".join(
            f"{name}:{line.span.line}:{line.span.column}: {line.without_place}"
            if line.span and not line.span.path
            else str(line)
            for line in self.diagnostics
        )

    def _repr_html_(self) -> str:
        return str(
            import_module("grainspec.notebook").error_html(self)
        )  # by name: no circle of imports


def fail(code: str, message: str, cure: str = "", span: Span | None = None) -> GrainError:
    """An error of one finding, ready to be raised."""
    return GrainError([Diagnostic(code, message, cure, span)])


def refuse(code: str, message: str, cure: str = "") -> GrainError:
    """An error about what somebody's Python asked for, with the line that did."""
    return fail(code, message, cure, caller())


def visible(text: str) -> str:
    r"""A text that is safe on a terminal: control characters as escapes, such as ``\x1b``."""
    return UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like ``word``, if any is like it at all."""
    folded = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """``"Did you mean `left_man`?"``, else the list of what there is."""
    known = list(known)
    near = closest(word, known)
    if near:
        return f"Did you mean `{near}`?"
    if not known:
        return ""
    shown = ", ".join(f"`{name}`" for name in known[:12])
    return f"There {'is' if len(known) == 1 else 'are'} {shown}{', …' * (len(known) > 12)}."


def reason_of(error: BaseException) -> str:
    """The first line of what an error says; where it says nothing, what kind it is.

    >>> reason_of(ValueError("no weights")), reason_of(ValueError())
    ('no weights', 'ValueError')
    """
    return str(error).strip().partition("\n")[0] or type(error).__name__
