"""Processes of a batch that end early: what is said about them, and about their jobs."""

from __future__ import annotations

import re

from ray.exceptions import RayActorError, RayError, RayTaskError

from grainspec.diagnostics import GrainError, fail
from grainspec_runtime.batch.failures import Failure

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_MOST = 300


class Overdue(RayError):
    """A stage did not end within its limit, and its process is ended."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"it did not end within {seconds:g} s")


def reason_of_end(stage: str, error: Exception) -> str:
    """Return why a stage's process ended, in one line."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, Exception):
        error = error.cause  # the message before it is about the process
    if isinstance(error, Overdue):
        return f"{stage}: {error}"
    return f"{stage}: {type(error).__name__}: {_cause_in(error)}".rstrip(": ")


def _cause_in(error: Exception) -> str:
    """Return what an error says of its cause, in one line of at most 300 characters.

    Errors of processes begin with fields or a traceback, which are indented; the cause is last.
    """
    lines = _COLOUR.sub("", str(error)).strip().splitlines()
    if isinstance(error, RayActorError | RayTaskError):
        indented = [number for number, line in enumerate(lines) if line[:1].isspace()]
        lines = lines[indented[-1] + 1 :] if indented and lines[indented[-1] + 1 :] else lines
    said = " ".join(" ".join(lines).split())
    said = said.rpartition("Worker exit detail: ")[2]
    return said if len(said) <= _MOST else said[: _MOST - 1].rstrip() + "…"


def failure_of_end(error: Exception, reasons: list[str]) -> Failure:
    """Return the failure of a job whose process ended in its last attempt, for all reasons."""
    if isinstance(error, Overdue):
        message = f"{reasons[-1]}, in the last of {len(reasons)} attempts"
        cure = "Allow more time (`--timeout 4h`), or run the job by itself with `grain run`."
        return Failure("G763", message, cure)
    message = f"its process died {len(reasons)} times: {reasons[-1]}"
    cure = "Run the job by itself with `grain run`, and watch its memory."
    return Failure("G741", message, cure)


def no_worker(who: str, seconds: float) -> GrainError:
    """Return the error (G743) that ends a batch in which no worker starts."""
    message = f"{who} did not start within {seconds:.0f} s each"
    cure = "Look at the load and memory of the machines, and at what else uses the cluster "
    cure += "(`ray status`); the same command then goes on from the jobs that are done."
    return fail("G743", message, cure)
