"""A job on its way through the stages, and a call to a worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from grainspec_runtime.batch.jobs import BatchJob
from grainspec_runtime.batch.work import Model


@dataclass(eq=False)
class Task:
    """A prepared job.

    prepared, index: the object with the prepared jobs of its unit, and its place there. carried:
    the object with its inversions, for workers with another cache. reasons: why earlier attempts
    failed. seconds: of stages that came before sampling.
    """

    job: BatchJob
    session: str
    model: Model
    prepared: Any = None
    index: int = 0
    carried: Any = None
    reasons: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def is_suspect(self) -> bool:
        """Whether it failed before; such a job runs alone, so that it harms no other."""
        return bool(self.reasons)


@dataclass(eq=False)
class Call:
    """A call to a worker, for one job's edit or the inversions of several jobs."""

    kind: Literal["share", "sample"]
    tasks: list[Task]
    report: Any = None
    result: Any = None

    @property
    def is_suspect(self) -> bool:
        """Whether it runs alone."""
        return any(task.is_suspect for task in self.tasks)
