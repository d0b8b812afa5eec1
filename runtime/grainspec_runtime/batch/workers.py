"""The workers of a batch: which models are loaded, and how many share a GPU or the CPUs."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ray

from grainspec_runtime.batch import cluster
from grainspec_runtime.batch.task import Call
from grainspec_runtime.batch.work import Model, Place

MOST_ON_A_GPU = 8
_CONTEXT = 700_000_000
"""Bytes of a GPU that a process needs besides what it allocates: the CUDA context, libraries."""
_USABLE = 0.92
"""Share of a GPU's memory that workers are planned for; fragments take the rest."""


def on_one_gpu(needed: int, total: int, *, most: int = MOST_ON_A_GPU) -> int:
    """Return how many workers share a GPU of ``total`` bytes that need ``needed`` bytes each.

    >>> on_one_gpu(9_000_000_000, 80_000_000_000), on_one_gpu(60_000_000_000, 80_000_000_000)
    (7, 1)
    """
    return max(1, min(most, math.floor(_USABLE * total / (needed + _CONTEXT))))


@dataclass(eq=False)
class WorkerProcess:
    """An actor with a model. share: of a GPU, or of one place for a worker on CPUs.

    calls: those that it has not answered yet, in their order; it works on the first.
    session: that of its last call, whose clip it has at hand. place: None until it has started.
    started: the object that becomes its place. begun: when its start was asked for (monotonic).
    """

    actor: Any
    model: str
    share: float
    calls: list[Call] = field(default_factory=list)
    session: str = ""
    place: Place | None = None
    started: Any = None
    begun: float = field(default_factory=time.monotonic)


@dataclass(eq=False)
class Workers:
    """All workers of a batch, and the room for more.

    gpus: whether workers have GPUs. room: GPUs, or places for workers on CPUs.
    """

    work_ref: Any
    gpus: bool
    room: float
    gpu_bytes: int = 0
    most_on_a_gpu: int = MOST_ON_A_GPU
    living: list[WorkerProcess] = field(default_factory=list)

    def share_of(self, model: Model) -> float:
        """Return the share of a GPU that a worker with this model needs."""
        if not self.gpus:
            return 1.0
        return 1 / on_one_gpu(model.gpu_bytes, self.gpu_bytes, most=self.most_on_a_gpu)

    def start(self, model: Model, idle: Callable[[WorkerProcess], bool]) -> WorkerProcess | None:
        """Start a worker for a model; None if there is no room, even without idle ones."""
        share = self.share_of(model)
        for other in [worker for worker in self.living if idle(worker)]:
            if self._used + share <= self.room + 1e-6:
                break
            self.stop(other)
        if self._used + share > self.room + 1e-6:
            return None
        resources = (
            {"num_gpus": share, "num_cpus": cluster.SIDE_CPUS}
            if self.gpus
            else {"num_cpus": cluster.SIDE_CPUS}
        )
        actor = cluster.Actor.options(**resources).remote(self.work_ref, model)
        worker = WorkerProcess(actor, model.key, share, started=actor.place.remote())
        self.living.append(worker)
        return worker

    def stop(self, worker: WorkerProcess) -> None:
        """End a worker, if it lives: its model is unloaded, and what it had is free for others."""
        if worker in self.living:
            self.living.remove(worker)
        with contextlib.suppress(ray.exceptions.RayError):  # the cluster may have ended
            ray.kill(worker.actor)

    def stop_all(self) -> None:
        """End all workers."""
        for worker in list(self.living):
            self.stop(worker)

    def of(self, model: str) -> Iterator[WorkerProcess]:
        """Iterate over the workers of a model, those with the fewest calls first."""
        same = [worker for worker in self.living if worker.model == model and worker.place]
        yield from sorted(same, key=lambda worker: len(worker.calls))

    @property
    def share_caches(self) -> bool:
        """Whether all workers have the same cache folder."""
        return len({worker.place.cache for worker in self.living if worker.place}) <= 1

    @property
    def _used(self) -> float:
        return sum(worker.share for worker in self.living)


def room_of_cluster(*, on_cpus: bool, workers: int | None) -> tuple[bool, float, int]:
    """Return whether workers have GPUs, the room for them, and the number of CPUs."""
    resources = cluster.resources()
    cpus, gpus = int(resources.get("CPU", 1)), resources.get("GPU", 0.0)
    if gpus and not on_cpus:
        return True, min(gpus, workers or gpus), max(1, cpus)
    return False, float(min(workers or cpus, 2 * cpus) or 1), max(1, cpus)
