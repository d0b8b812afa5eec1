"""Why a job failed, as a value that travels between machines."""

from __future__ import annotations

from dataclasses import dataclass

from grainspec.cli.ending import finding_of
from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.text.override import PATH as OVERRIDE

_MAY_PASS = {"G310", "G340", "G502", "G506", "G746", "G900"}
"""What another try may not meet: a full disk, a folder in use, a network, too little memory."""


def _may_pass(code: str, error: BaseException) -> bool:
    """Return whether another try may succeed; a folder with files of others (G310) stays so."""
    refused = isinstance(error, GrainError) and not isinstance(error.__cause__, OSError)
    return code in _MAY_PASS and not (code == "G310" and refused)


@dataclass(frozen=True, slots=True)
class Failure:
    """A finding about a job: its code, message and cure; whether another try may succeed.

    text: the file or override that is wrong, empty for the job's spec. position: in it, as ``8:1``
    (line and column, from 1); empty if the finding is about no text.
    """

    code: str
    message: str
    cure: str = ""
    may_pass: bool = False
    text: str = ""
    position: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Return the failure for an exception of a stage."""
        found = error.diagnostics if isinstance(error, GrainError) else (finding_of(error),)
        first = next((finding for finding in found if finding.is_error), found[0])
        text, position = _place(first, error)
        may_pass = _may_pass(first.code, error)
        return cls(first.code, first.message, first.cure, may_pass, text, position)

    @property
    def setting(self) -> str:
        """The override that is wrong, such as ``sampler.seed=NaN``; empty if none is."""
        option, space, setting = self.text.partition(" ")
        return setting if space and option == OVERRIDE else ""

    def place(self, spec: str) -> str | None:
        """Return where the fault is, such as ``edit.grain:8:1``; None if it is about no text."""
        if not self.text and not self.position:
            return None
        return ":".join(filter(None, (self.text or spec, self.position)))

    @property
    def reason(self) -> str:
        """The failure in one line."""
        return f"{self.code}: {self.message}"


def _place(finding: Diagnostic, error: BaseException) -> tuple[str, str]:
    """Return the text that a finding is about, and the position in it, as :class:`Failure` does."""
    if finding.span is None:
        return "", ""
    path = finding.span.path or getattr(error, "path", None)
    if path == OVERRIDE:
        return f"{OVERRIDE} {getattr(error, 'source', None) or ''}".rstrip(), ""
    if finding.span.path and finding.span.path.startswith(OVERRIDE):
        return finding.span.path, ""
    return finding.span.path or "", f"{finding.span.line}:{finding.span.column}"
