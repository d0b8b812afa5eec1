"""A diagnostic: what is wrong, where, and how to correct it."""

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
"""Characters that control a terminal (cursor, colours) or the direction of text."""


@dataclass(frozen=True, slots=True)
class Fix:
    """A correction that is certain: write ``text`` in place of the source text at ``span``.

    An empty span inserts; an empty text deletes.
    """

    span: Span
    text: str

    def as_json(self) -> dict[str, Any]:
        """The correction as JSON values: the place, and ``text``."""
        return {**_place(self.span), "text": self.text}


@dataclass(frozen=True, slots=True)
class Related:
    """A second place that explains a finding, such as where a name was given first."""

    span: Span
    message: str

    def as_json(self) -> dict[str, Any]:
        """The place and what it is, as JSON values."""
        return {**_place(self.span), "message": self.message}


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: a stable code, a sentence that says what is wrong, and one that says what to do.

    ``fixes`` are edits of the source text that correct the mistake when all are applied; they are
    given only where the correction is certain. ``related`` are places that explain it.

    >>> finding = Diagnostic("G101", "unknown region `lefft`", "Did you mean `left`?")
    >>> finding.severity, str(finding)
    ('error', 'G101: unknown region `lefft`. Did you mean `left`?')
    """

    code: str
    message: str
    cure: str = ""
    span: Span | None = None
    fixes: tuple[Fix, ...] = ()
    related: tuple[Related, ...] = ()

    @property
    def severity(self) -> Severity:
        """``error`` or ``warning``, depending on the code."""
        return severity_of(self.code)

    @property
    def is_error(self) -> bool:
        """Whether this is an error, which stops the command."""
        return self.severity == "error"

    def as_json(self) -> dict[str, Any]:
        """The finding as JSON values; lines and columns are counted from 1."""
        fields: dict[str, Any] = {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "cure": self.cure,
        }
        if self.span:
            fields |= _place(self.span)
        if self.fixes:
            fields["fixes"] = [fix.as_json() for fix in self.fixes]
        if self.related:
            fields["related"] = [place.as_json() for place in self.related]
        return fields

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


def _place(span: Span) -> dict[str, Any]:
    """A span as JSON values; lines and columns are counted from 1, the end column is exclusive."""
    place: dict[str, Any] = {
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }
    return place | {"path": span.path} if span.path else place


class GrainError(Exception):
    """An operation failed; ``diagnostics`` has the errors, and any warnings found with them.

    ``source`` is the text that the spans refer to; ``path`` is the file it was read from, if known.

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

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows for a raised error, instead of a traceback."""
        return list(import_module("grainspec.notebook").error_lines(self))


def fail(
    code: str,
    message: str,
    cure: str = "",
    span: Span | None = None,
    *,
    fixes: Iterable[Fix] = (),
    related: Iterable[Related] = (),
) -> GrainError:
    """Make an error with one finding, to be raised."""
    return GrainError([Diagnostic(code, message, cure, span, tuple(fixes), tuple(related))])


def refuse(code: str, message: str, cure: str = "") -> GrainError:
    """Make an error about a call in the user's Python, with the line of that call."""
    return fail(code, message, cure, caller())


def visible(text: str) -> str:
    r"""Make a text safe to print on a terminal: control characters become escapes, as ``\x1b``."""
    return UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most similar to ``word``, or None if none is similar."""
    folded = {name.casefold(): name for name in known}
    matches = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return folded[matches[0]] if matches else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """A hint: ``"Did you mean `left_man`?"``, or else the list of known words."""
    known = list(known)
    near = closest(word, known)
    if near:
        return f"Did you mean `{near}`?"
    if not known:
        return ""
    shown = ", ".join(f"`{name}`" for name in known[:12])
    return f"There {'is' if len(known) == 1 else 'are'} {shown}{', …' * (len(known) > 12)}."


def reason_of(error: BaseException) -> str:
    """The first line of an error's message, or its class name if the message is empty.

    >>> reason_of(ValueError("no weights")), reason_of(ValueError())
    ('no weights', 'ValueError')
    """
    return str(error).strip().partition("\n")[0] or type(error).__name__
