"""What the stages of a batch compute: the interface between the driver and the edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from grainspec_runtime.batch.failures import Failure
from grainspec_runtime.batch.jobs import BatchJob

Row = Mapping[str, Any]
"""A row of the manifest, by the names of its columns; those that are missing are null."""


@dataclass(frozen=True)
class Model:
    """A model to keep loaded: its key, what loads it, and the GPU memory of its largest job."""

    key: str
    told: Any = None
    gpu_bytes: int = 0


@dataclass(frozen=True)
class Prepared:
    """The result of preparing a unit: a failure or None for each job, and the model to run."""

    failures: tuple[Failure | None, ...]
    model: Model | None
    seconds: float = 0.0


@dataclass(frozen=True)
class Shared:
    """The result of a unit's inversions: a failure or None for each job.

    keys: of the inversion of each job; None for one that failed or has none. made: the keys of
    those that did not exist before.
    """

    failures: tuple[Failure | None, ...]
    keys: tuple[str | None, ...] = ()
    made: frozenset[str] = frozenset()
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a worker runs: its process and host, and what tells its cache from others'.

    ``cache`` is empty if it reads none: then inversions always travel from worker to worker.
    """

    pid: int
    host: str
    cache: str


class Worker(Protocol):
    """Keeps one model loaded; lives in an actor. Errors are returned as values, not raised."""

    def place(self) -> Place:
        """Return where the worker runs."""

    def share(
        self, prepared: Any, jobs: Mapping[int, BatchJob], *known: Any, carry: bool
    ) -> tuple[Shared, Any]:
        """Make the inversions of jobs, by their index in the unit.

        ``known`` has inversions of the same clip. With ``carry`` the second value has those of
        these jobs, for workers with another cache or none.
        """

    def sample(
        self, prepared: Any, index: int, job: BatchJob, carried: Any
    ) -> tuple[Failure | None, Any]:
        """Make the edit of a job; the second value goes to :meth:`Work.save`."""


class Work(Protocol):
    """The stages of a batch. It is sent to every process, so it contains settings only."""

    def prepare(self, jobs: Sequence[BatchJob]) -> tuple[Prepared, Any]:
        """Check and compile jobs, and track their regions; the second value goes to workers."""

    def worker(self, model: Model) -> Worker:
        """Return a worker for a model, in its own process."""

    def save(self, job: BatchJob, result: Any, known: Row) -> Row | Failure:
        """Write a job's result, measure it, and return its row, with the columns of ``known``."""

    def measured(self, job: BatchJob) -> Row | Failure:
        """Measure a run that was made before, and return the columns of its metrics."""

    def gpu_total(self) -> int:
        """Return the memory of a GPU in bytes, in a process that has one."""
