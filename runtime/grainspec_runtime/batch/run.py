"""Run a batch from its jobs to its manifest and its page; resume one that was interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grainspec.diagnostics import Diagnostic
from grainspec_runtime.batch.cluster import cluster
from grainspec_runtime.batch.driver import Driver
from grainspec_runtime.batch.failures import Failure
from grainspec_runtime.batch.folder import PAGE, claimed_folder, write_progress
from grainspec_runtime.batch.interrupts import interrupts_kept
from grainspec_runtime.batch.jobs import BatchJob
from grainspec_runtime.batch.kept import Kept, kept
from grainspec_runtime.batch.limits import Limits
from grainspec_runtime.batch.manifest import Manifest
from grainspec_runtime.batch.measure_kept import Measuring
from grainspec_runtime.batch.page import write_page
from grainspec_runtime.batch.rows import row_of_failure
from grainspec_runtime.batch.units import units_of
from grainspec_runtime.batch.work import Work

_SECONDS = 1.0
"""Between two times that ``batch.json`` is written."""


@dataclass(frozen=True)
class Cluster:
    """Where a batch runs: the address of a cluster, or what a local one may use."""

    address: str | None = None
    cpus: int | None = None
    object_store: int | None = None


@dataclass(frozen=True)
class Summary:
    """What became of a batch: jobs that are done, of these kept from before, and set aside.

    measured: kept jobs that this command measured.
    """

    jobs: int
    done: int
    kept: int
    set_aside: tuple[Mapping[str, Any], ...]
    inversions: int
    measured: int
    seconds: float


Told = Callable[[Mapping[str, Any]], None]
"""Receives the facts of ``batch.json`` about once a second."""


def distinct(jobs: Sequence[BatchJob]) -> tuple[list[BatchJob], list[Diagnostic]]:
    """Return each job once, and a warning (G745) about those that are asked for several times."""
    found = {job.digest: job for job in jobs}
    if len(found) == len(jobs):
        return list(jobs), []
    message = f"{len(jobs) - len(found)} of {len(jobs)} jobs are the same as others; each runs once"
    cure = "Remove the duplicate rows, or give them different settings, such as `sampler.seed`."
    return list(found.values()), [Diagnostic("G745", message, cure)]


def run_batch(
    jobs: Sequence[BatchJob],
    work: Work,
    folder: Path,
    *,
    on: Cluster,
    limits: Limits,
    fresh: bool = False,
    measure: bool = False,
    output: str = "",
    told: Told = lambda facts: None,
    warn: Callable[[list[Diagnostic]], None] = lambda findings: None,
    facts: Mapping[str, Any] | None = None,
) -> Summary:
    """Run the jobs that are not done yet; ``folder`` has the record of all.

    ``output`` is the URL of the results, if they are not in the folder, too. With ``fresh`` all of
    them run; with ``measure`` runs of earlier commands are measured, too, if they are in the
    folder. ``warn`` receives what is doubtful. Raises GrainError (G340, G742, G744);
    KeyboardInterrupt leaves a batch that the same call resumes.
    """
    start = time.time()
    with claimed_folder(folder):
        before = Kept() if fresh else kept(folder, jobs, output)
        warn(before.findings())
        record = Manifest(folder)
        set_aside: list[Mapping[str, Any]] = []

        def ended(row: Mapping[str, Any]) -> None:
            record.add(row)
            if row.get("code"):
                set_aside.append(row)

        for row in before.rows:
            record.add(row)
        measuring = Measuring(before, record, work, output) if measure else None
        unread: list[tuple[BatchJob, Failure]] = []
        units = list(units_of([job for job in jobs if job.digest not in before.done], unread))
        for job, failure in unread:
            ended(row_of_failure(job, failure, [failure.reason]))
        about = {**(facts or {}), "jobs": len(jobs), "kept": len(before.done), "started": start}
        telling = _Telling(folder, about, len(unread), told, record)
        inversions = 0
        try:
            if units or (measuring and measuring.jobs):
                with _on(on) as interrupted:
                    telling.interrupted = interrupted
                    if units:
                        driver = Driver(work, iter(units), ended, limits=limits, tick=telling)
                        driver.run()
                        inversions = driver.inversions
                    if measuring:
                        measuring.run(telling.measuring)
        finally:
            record.complete()
            telling.end()
            write_page(folder, folder / PAGE, jobs)
    warn(measuring.findings() if measuring else [])
    return Summary(
        jobs=len(jobs),
        done=len(jobs) - len(set_aside),
        kept=len(before.done),
        set_aside=tuple(set_aside),
        inversions=inversions,
        measured=measuring.count if measuring else 0,
        seconds=time.time() - start,
    )


@contextmanager
def _on(on: Cluster) -> Iterator[Callable[[], None]]:
    """Connect to a cluster; gives what raises KeyboardInterrupt after one that was lost."""
    with (
        cluster(on.address, cpus=on.cpus, object_store=on.object_store),
        # Also in place of Ray's own handler of SIGTERM, which would end this process at once.
        interrupts_kept() as interrupted,
    ):
        yield interrupted


@dataclass
class _Telling:
    """Writes ``batch.json`` and tells the same to the command, about once a second.

    unread: the number of jobs that are set aside before the driver begins.
    """

    folder: Path
    about: Mapping[str, Any]
    unread: int
    told: Told
    record: Manifest
    interrupted: Callable[[], None] = lambda: None
    _last: float = 0.0
    _driver: Driver | None = None
    _measuring: int = 0

    def __call__(self, driver: Driver) -> None:
        """Write and tell how far the driver is, if it is time to."""
        self._driver = driver
        self._tell_if_due()

    def measuring(self, left: int) -> None:
        """Write and tell how many kept runs are still to be measured, if it is time to."""
        self._measuring = left
        self._tell_if_due()

    def _tell_if_due(self) -> None:
        self.interrupted()
        self.record.flush_if_due()
        if time.monotonic() - self._last >= _SECONDS:
            self._tell(ended=False)

    def end(self) -> None:
        """Write and tell for the last time."""
        self._tell(ended=True)

    def _tell(self, *, ended: bool) -> None:
        facts: dict[str, Any] = {**self.about, "ended": ended, "stages": {"set aside": self.unread}}
        if self._driver is not None:
            driver, longest = self._driver, self._driver.longest()
            counts = {stage: count for stage, count in driver.counts.items() if count}
            counts["set aside"] = counts.get("set aside", 0) + self.unread
            places = [worker.place for worker in driver.workers.living if worker.place]
            facts["workers"] = [{"pid": place.pid, "host": place.host} for place in places]
            facts |= {"stages": counts, "inversions": driver.inversions}
            if longest:
                named = ("stage", "job", "host", "seconds")
                facts["longest"] = dict(zip(named, longest, strict=True))
        if self._measuring:
            facts["stages"]["measuring"] = self._measuring
        write_progress(self.folder, facts)
        self._last = time.monotonic()
        self.told(facts)
