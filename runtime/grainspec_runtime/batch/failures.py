"""Why a job failed, as a value that travels between machines."""

from __future__ import annotations

from dataclasses import dataclass

from grainspec.cli.ending import finding_of
from grainspec.diagnostics import GrainError

_MAY_PASS = {"G310", "G340", "G502", "G506", "G746", "G900"}
"""What another try may not meet: a full disk, a folder in use, a network, too little memory."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A finding about a job: its code, message and cure; whether another try may succeed."""

    code: str
    message: str
    cure: str = ""
    may_pass: bool = False

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Return the failure for an exception of a stage."""
        found = error.diagnostics if isinstance(error, GrainError) else (finding_of(error),)
        first = next((finding for finding in found if finding.is_error), found[0])
        return cls(first.code, first.message, first.cure, first.code in _MAY_PASS)

    @property
    def reason(self) -> str:
        """The failure in one line."""
        return f"{self.code}: {self.message}"
