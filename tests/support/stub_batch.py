"""A batch whose stages compute nothing: what a job does is written in its overrides."""

from __future__ import annotations

import os
import platform
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grainspec_runtime.batch.failures import Failure
from grainspec_runtime.batch.jobs import BatchJob
from grainspec_runtime.batch.units import Unit
from grainspec_runtime.batch.work import Model, Place, Prepared, Shared

LATER = Failure("G506", "the machine ran out of memory", "", may_pass=True)
NEVER = Failure("G505", "the denoiser produced NaN", "Use float32.")


def stub_job(number: int, clip: int, *does: str) -> BatchJob:
    """A job that does nothing, or one thing: see the stages. `endless` is for preparing, `hangs` for sampling."""
    name = f"job-{number:05}"
    return BatchJob(name, name, Path("stub.grain"), "", f"clip-{clip}", None, does)


def stub_units(jobs: Sequence[BatchJob], most: int = 16) -> Iterator[Unit]:
    clips: dict[str, list[BatchJob]] = {}
    for job in jobs:
        clips.setdefault(str(job.clip), []).append(job)
    for clip, same in clips.items():
        for start in range(0, len(same), most):
            yield Unit(tuple(same[start : start + most]), clip)


@dataclass(frozen=True)
class StubWork:
    """Stages that leave a line in `log` for each thing that they do; no log without a path."""

    log: Path | None = None
    stuck: bool = False
    """Its workers never start."""
    bulk: int = 0
    """Bytes that each stage hands on, besides what it has to say."""
    seconds: float = 0.0
    """For which each job is sampled."""

    def did(self, what: str) -> int:
        """Write down a thing; return how often it was done before, in all processes."""
        if self.log is None:
            return 0
        with self.log.open("a") as file:
            file.write(f"{what}\n")
        return self.log.read_text().splitlines().count(what) - 1

    def prepare(self, jobs: Sequence[BatchJob]) -> tuple[Prepared, Any]:
        if "endless" in jobs[0].sets:
            time.sleep(1000)
        failures = tuple(NEVER if "unread" in job.sets else None for job in jobs)
        return Prepared(failures, Model("stub"), 2.0), (
            [job.name for job in jobs],
            bytes(self.bulk),
        )

    def worker(self, model: Model) -> StubWorker:
        if self.stuck:
            time.sleep(1000)
        return StubWorker(self)

    def save(self, job: BatchJob, result: Any, known: Mapping[str, Any]) -> Mapping[str, Any]:
        before = self.did(f"save {job.name}")
        if "hangs saving once" in job.sets and not before:
            time.sleep(1000)
        row = {"job": job.digest, "name": job.name, "state": "done", "host": result[0]}
        return {**row, **known}

    def measured(self, job: BatchJob) -> Mapping[str, Any] | Failure:
        if "dies" in job.sets:
            os._exit(1)
        if "fails" in job.sets:
            return NEVER
        self.did(f"measure {job.name}")
        return {"measure_psnr_outside": 31.5}

    def gpu_total(self) -> int:
        return 80_000_000_000


@dataclass
class StubWorker:
    work: StubWork

    def place(self) -> Place:
        return Place(os.getpid(), platform.node(), os.environ.get("GRAINSPEC_CACHE", "cache"))

    def share(
        self, prepared: Any, jobs: Mapping[int, BatchJob], *known: Any, carry: bool
    ) -> tuple[Shared, Any]:
        clip = next(iter(jobs.values())).clip
        before = self.work.did(f"share {clip}")
        if not os.environ.get("GRAINSPEC_CACHE", "cache"):
            before = bool(known)
        keys, made = (str(clip),) * len(jobs), frozenset() if before else frozenset({str(clip)})
        return Shared((None,) * len(jobs), keys, made), {"carried": carry}

    def sample(
        self, prepared: Any, index: int, job: BatchJob, carried: Any
    ) -> tuple[Failure | None, Any]:
        assert prepared[0][index] == job.name
        time.sleep(self.work.seconds)
        before = self.work.did(f"sample {job.name}")
        if "dies" in job.sets or ("dies once" in job.sets and not before):
            os._exit(1)
        if "hangs" in job.sets or ("hangs once" in job.sets and not before):
            os.kill(os.getpid(), signal.SIGSTOP)  # not even Python's signal handlers run
        if "fails" in job.sets:
            return NEVER, None
        if "fails once" in job.sets and not before:
            return LATER, None
        return None, (platform.node(), bytes(self.work.bulk))
