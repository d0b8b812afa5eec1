"""A job on its way through the stages, and a call to a worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from grainspec_runtime.batch.jobs import BatchJob
from grainspec_runtime.batch.work import Model


@dataclass(eq=False)
class Task:
    """A prepared job.

    prepared, index: the object with the prepared jobs of its unit, and its place there. cache:
    where its inversions are, if they are cached. carried: the object with them, for workers with
    another cache. reasons: why earlier attempts failed. known: columns of its row that stages
    before sampling tell.
    """

    job: BatchJob
    session: str
    model: Model
    prepared: Any = None
    index: int = 0
    cache: str = ""
    carried: Any = None
    reasons: list[str] = field(default_factory=list)
    known: dict[str, Any] = field(default_factory=dict)

    @property
    def is_suspect(self) -> bool:
        """Whether it failed before; such a job runs alone, so that it harms no other."""
        return bool(self.reasons)


@dataclass(eq=False)
class Call:
    """A call to a worker, for one job's edit or the inversions of several jobs.

    carries: whether its result has the inversions. begun: when the worker began it, after those
    before it (monotonic seconds).
    """

    kind: Literal["share", "sample"]
    tasks: list[Task]
    report: Any = None
    result: Any = None
    carries: bool = False
    begun: float = field(default_factory=time.monotonic)

    @property
    def stage(self) -> str:
        """The stage in the words of the manifest."""
        return "invert" if self.kind == "share" else "sample"

    @property
    def is_suspect(self) -> bool:
        """Whether it runs alone."""
        return any(task.is_suspect for task in self.tasks)


@dataclass(eq=False)
class Pending:
    """What the driver waits for: how its end is dealt with; stage and job, of a task on CPUs.

    asked: when it was handed to the cluster. begun: when it was first seen to run, since it may
    have to wait for a CPU; only known of tasks with a limit (monotonic seconds).
    """

    handle: Callable[[Any], None]
    stage: str = ""
    job: str = ""
    asked: float = field(default_factory=time.monotonic)
    begun: float | None = None
    overdue: Exception | None = None
