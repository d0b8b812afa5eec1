"""The studio's jobs: tracking and runs, one at a time, the others waiting."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Literal

from grainspec.diagnostics import fail
from grainspec_runtime.studio.events import Events
from grainspec_runtime.studio.limits import MAX_WAITING
from grainspec_runtime.studio.outputs import output_for
from grainspec_runtime.studio.process import Command, Ended

Kind = Literal["track", "run"]
State = Literal["waiting", "running", "cancelling", "done", "failed", "cancelled"]
_OVER = frozenset({"done", "failed", "cancelled"})
_MESSAGES = {
    "waiting": "waiting for the job before it",
    "running": "starting",
    "cancelling": "stopping",
    "done": "finished",
}
_MOST_WARNINGS = 50
_RESUMED = frozenset({"sample", "edit", "decode"})
"""Stages of a run in which it has sampling steps that are kept."""


@dataclass
class Job:
    """A command on a spec's text, and what is known of it."""

    kind: Kind
    file: Path
    text: str = field(repr=False)
    variant: str | None = None
    sets: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    """Those that it runs; empty for the spec itself."""
    number: str = field(default_factory=lambda: secrets.token_hex(8))
    state: State = "waiting"
    stage: str = ""
    done: int = 0
    total: int = 0
    began: float = 0.0
    seconds: float = 0.0
    runs: list[str] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    """While it runs, the warnings so far."""
    revision: int = 0
    """How often it changed."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in _OVER

    @property
    def command(self) -> Command:
        """The command of `grain` that does it, in the folder of the spec, where a run has its own.

        Which one, depends on the runs that are there.
        """
        arguments = [self.kind, "--stdin", "--format=json", "--progress=json"]
        if self.kind == "run" and self.variant is not None:
            arguments.append(f"--variant={self.variant}")
        arguments += [f"--set={one}" for one in self.sets]
        spec = "--", self.file.name
        if self.kind == "run":
            output = output_for(self.file, self.text, [*arguments, *spec], self.variants)
            arguments.append(f"--output={output}")
        return Command(self.file.parent, [*arguments, *spec], self.text)

    @property
    def resumes(self) -> bool:
        """Whether the same job resumes where this one was cancelled, or begins again."""
        begun = self.stage == "track" if self.kind == "track" else self.stage in _RESUMED
        return self.state == "cancelled" and begun

    def _message(self, errors: list[dict[str, Any]]) -> str:
        """A line for people."""
        if self.state == "running" and self.stage:
            return f"{self.stage} {self.done} of {self.total}" if self.total else self.stage
        if self.state == "failed":
            return str(errors[0]["message"]) if errors else "failed"
        if self.state != "cancelled":
            return _MESSAGES[self.state]
        if self.resumes:
            kept = "tracked frames" if self.kind == "track" else "sampling steps"
            return f"cancelled; started again, it resumes after the {kept} that are done"
        if self.stage == "invert":
            return "cancelled during the inversion; started again, it inverts from the first step"
        return "cancelled before sampling; started again, it uses a finished inversion"

    def as_json(self) -> dict[str, Any]:
        """The job as the page has it."""
        errors = [found for found in self.findings if found["severity"] == "error"]
        running = self.began and not self.is_over
        return {
            "job": self.number,
            "revision": self.revision,
            "kind": self.kind,
            "variant": self.variant,
            "state": self.state,
            "stage": self.stage,
            "done": self.done,
            "total": self.total,
            "message": self._message(errors),
            "seconds": round(time.monotonic() - self.began if running else self.seconds, 2),
            "runs": self.runs,
            "error": errors[0] if self.state == "failed" and errors else None,
            "findings": [*self.findings],
            "resumes": self.resumes,
        }

    def end(self, ended: Ended) -> None:
        """Store how the command ended."""
        self.seconds = time.monotonic() - self.began
        if ended.code == 0 and ended.output is not None:
            self.state = "done"
            runs = [ended.output] if self.kind == "run" else []
            runs = ended.output.get("runs", runs)
            self.runs = [_run_name(run["output"]) for run in runs]
            told = [found for run in runs for found in run["warnings"]]
            told = told if self.kind == "run" else ended.output["diagnostics"]
            self.findings = [one for i, one in enumerate(told) if one not in told[:i]]
        elif self.state == "cancelling":
            self.state = "cancelled"
        else:
            self.state, self.findings = "failed", [*ended.findings, *self.findings]


class Jobs:
    """The queue of jobs. Used in the thread of the event loop."""

    def __init__(self, events: Events, finished: Callable[[], None]) -> None:
        self._events, self._finished = events, finished
        self._jobs: dict[str, Job] = {}
        self._some = asyncio.Event()
        self._command: Command | None = None
        self._worker: asyncio.Task[None] | None = None
        self._closing = False

    def all(self) -> list[Job]:
        """All jobs that are remembered, the newest last."""
        return list(self._jobs.values())

    def named(self, number: str) -> Job:
        """A job by its number; raises GrainError (G727)."""
        if number not in self._jobs:
            raise fail("G727", "there is no such job", "Reload the page.")
        return self._jobs[number]

    def add(self, job: Job) -> Job:
        """Put a job last in the queue; raises GrainError (G728) if too many wait."""
        waiting = sum(not other.is_over for other in self._jobs.values())
        if waiting >= MAX_WAITING:
            raise fail("G728", f"{waiting} jobs wait already", "Cancel some of them.")
        over = [number for number, other in self._jobs.items() if other.is_over]
        for number in over[: max(0, len(over) - MAX_WAITING + 1)]:
            del self._jobs[number]
        self._jobs[job.number] = job
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        self._some.set()
        self._tell(job)
        return job

    def cancel(self, number: str) -> Job:
        """Cancel a job; one that is over stays as it is. Raises GrainError (G727)."""
        job = self.named(number)
        if job.state == "waiting":
            job.state = "cancelled"
        elif job.state == "running":
            job.state = "cancelling"
            assert self._command is not None
            self._command.stop()
        self._tell(job)
        return job

    async def close(self) -> None:
        """Cancel all jobs, and wait until the one that runs has ended."""
        self._closing = True
        for job in self.all():
            self.cancel(job.number)
        self._some.set()
        if self._worker is not None:
            await self._worker

    async def _work(self) -> None:
        while not self._closing:
            job = next((job for job in self._jobs.values() if job.state == "waiting"), None)
            if job is None:
                self._some.clear()
                await self._some.wait()
                continue
            await self._run(job)

    async def _run(self, job: Job) -> None:
        def progress(stage: str, done: int, total: int) -> None:
            if stage == job.stage and done == total == 1:  # the end of a stage
                done = total = job.total
            job.stage, job.done, job.total = stage, done, total
            self._tell(job)

        def warned(finding: dict[str, Any]) -> None:
            if len(job.findings) < _MOST_WARNINGS:
                job.findings.append(finding)
                self._tell(job)

        job.state, job.began = "running", time.monotonic()
        self._command = job.command
        self._tell(job)
        try:
            ended = await self._command.run(progress, warned)
        except OSError as error:
            ended = Ended(1, None, f"it cannot be started: {error.strerror or error}")
        finally:
            self._finished()
        job.end(ended)
        self._tell(job)

    def _tell(self, job: Job) -> None:
        job.revision += 1
        self._events.publish(job.number, job.as_json())


def _run_name(output: str) -> str:
    """The name of a run by the folder that it was written to, such as `runs/wolf/husky`."""
    return PurePath(output).relative_to("runs").as_posix()
