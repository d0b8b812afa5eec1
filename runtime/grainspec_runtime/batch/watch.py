"""Watch a batch's cluster: end what takes too long, and the batch if its cluster has ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from grainspec_runtime.batch import cluster
from grainspec_runtime.batch.endings import Overdue, no_worker
from grainspec_runtime.batch.limits import Limits
from grainspec_runtime.batch.task import Pending
from grainspec_runtime.batch.workers import WorkerProcess, Workers

_LOOK = 5.0
"""Seconds between two looks at the cluster: whether it lives, and what it has."""


class Longest(NamedTuple):
    """A job that is at work: its stage, its host (empty if unknown), and since how many seconds."""

    stage: str
    job: str
    host: str
    seconds: float


class Watch:
    """Watches workers and pending tasks. lost: deals with a worker whose call is overdue.

    late: workers that did not start in time, since one did.
    """

    def __init__(
        self,
        limits: Limits,
        workers: Workers,
        pending: dict[Any, Pending],
        lost: Callable[[WorkerProcess, Exception], None],
    ) -> None:
        self.late = 0
        self._limits, self._workers, self._pending, self._lost = limits, workers, pending, lost
        self._looked = time.monotonic()

    def longest(self) -> Longest | None:
        """Return what has been at work for the longest time, or waits for a CPU to begin."""
        now = time.monotonic()
        running = [
            Longest(one.stage, one.job, "", now - (one.begun or one.asked))
            for one in self._pending.values()
            if one.stage
        ]
        for worker in self._workers.living:
            if worker.place and worker.calls:
                call = worker.calls[0]
                stage = "inverting" if call.kind == "share" else "sampling"
                name, host = call.tasks[0].job.name, worker.place.host
                running.append(Longest(stage, name, host, now - call.begun))
        return max(running, key=lambda one: one.seconds, default=None)

    def look(self) -> None:
        """Look at workers, and at times at the cluster and at tasks.

        Raises GrainError: G743 if no worker starts in time, G744 if the cluster has ended.
        """
        limit, now = self._limits.stage_seconds, time.monotonic()
        for worker in list(self._workers.living):
            if worker.place is None and now - worker.begun > self._limits.start_seconds:
                self._end_late(worker)
            elif limit and worker.calls and now - worker.calls[0].begun > limit:
                self._lost(worker, Overdue(limit))
        if now - self._looked > min(_LOOK, (limit or _LOOK) / 2):
            self._workers.look()
            if limit:
                self._end_overdue_tasks(limit)
            self._looked = time.monotonic()

    def _end_overdue_tasks(self, limit: float) -> None:
        now = time.monotonic()
        for ref, pending in self._pending.items():
            if pending.stage and pending.begun is None and cluster.has_begun(ref):
                pending.begun = now
            if pending.begun and not pending.overdue and now - pending.begun > limit:
                pending.overdue = Overdue(limit)
                cluster.end_task(ref)

    def _end_late(self, worker: WorkerProcess) -> None:
        self._pending.pop(worker.started, None)
        self._workers.stop(worker)
        if any(other.calls for other in self._workers.living):
            return  # the batch goes on meanwhile
        self.late += 1
        if self.late > self._limits.retries:
            raise no_worker(f"{self.late} workers in a row", self._limits.start_seconds)
