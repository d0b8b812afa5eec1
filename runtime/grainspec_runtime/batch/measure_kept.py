"""Measure runs that an earlier command made without measuring them, on the cluster's CPUs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import ray

from grainspec.diagnostics import Diagnostic
from grainspec.remote.address import is_url, shown
from grainspec_runtime.batch import cluster, manifest
from grainspec_runtime.batch.endings import reason_of_end
from grainspec_runtime.batch.failures import Failure
from grainspec_runtime.batch.jobs import BatchJob
from grainspec_runtime.batch.kept import Kept
from grainspec_runtime.batch.manifest import Manifest
from grainspec_runtime.batch.places import RUNS
from grainspec_runtime.batch.work import Row, Work

_TICK = 0.5
"""Seconds after which the command looks up although nothing has ended."""


class Measuring:
    """Measures what a batch has kept; ``count`` is how many runs it has measured.

    jobs: those whose runs have no metrics. Rows that lack metrics of their run get them at once.
    """

    def __init__(self, before: Kept, record: Manifest, work: Work, output: str) -> None:
        self._work, self._record, self._output = work, record, output
        record.flush()
        self._rows = manifest.latest(record.folder)
        self._behind = before.unmeasured if is_url(output) else []
        self._failed: dict[str, str] = {}
        self.jobs = [] if is_url(output) else before.unmeasured
        self.count = 0
        for digest, measures in before.measures.items():
            row = self._rows[digest]
            if any(row.get(name) is None is not value for name, value in measures.items()):
                record.add({**row, **measures})

    def run(self, tick: Callable[[int], None]) -> None:
        """Measure the runs in a cluster, as many at once as there are CPUs.

        ``tick`` receives from time to time how many are left.
        """
        work, waiting, left = ray.put(self._work), iter(self.jobs), len(self.jobs)
        pending: dict[Any, BatchJob] = {}
        while True:
            pending |= _started(work, islice(waiting, _places() - len(pending)))
            if not pending:
                return
            ready, _ = ray.wait(list(pending), timeout=_TICK)
            for ref in ready:
                left -= 1
                self._ended(pending.pop(ref), _outcome(ref))
            tick(left)

    def _ended(self, job: BatchJob, outcome: Row | str) -> None:
        if isinstance(outcome, str):
            self._failed[job.name] = outcome
        else:
            self.count += 1
            self._record.add({**self._rows[job.digest], **outcome})

    def findings(self) -> list[Diagnostic]:
        """Return a warning (G765) if kept jobs are not measured."""
        if self._behind:
            message = f"{_jobs(len(self._behind))} not measured, such as {self._behind[0].name}: "
            message += f"runs in {shown(self._output)} are not fetched again"
            cure = "Copy the runs to this machine and give `grain measure RUN …`, or make them "
            return [Diagnostic("G765", message, cure + "again: `--fresh --measure`.")]
        if not self._failed:
            return []
        name, reason = next(iter(self._failed.items()))
        message = f"{_jobs(len(self._failed))} not measured, such as {name}: {reason}"
        place = self._record.folder / RUNS / name
        return [Diagnostic("G765", message, f"Measure them by `grain measure {place} …`.")]


def _jobs(count: int) -> str:
    return "1 kept job is" if count == 1 else f"{count} kept jobs are"


def _started(work: Any, jobs: Iterator[BatchJob]) -> dict[Any, BatchJob]:
    return {cluster.measure.options(num_cpus=1).remote(work, job): job for job in jobs}


def _places() -> int:
    return max(1, int(cluster.resources().get("CPU", 1)))


def _outcome(ref: Any) -> Row | str:
    """Return the metrics that a task has returned, or why there are none."""
    try:
        value: Row | Failure = ray.get(ref)
    except ray.exceptions.RayError as error:
        return reason_of_end("measure", error)
    return value.reason if isinstance(value, Failure) else value
