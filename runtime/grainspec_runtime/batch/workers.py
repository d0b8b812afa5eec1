"""The workers of a batch: which models are loaded, and how many share a GPU or the CPUs."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ray

from grainspec_runtime.batch import cluster
from grainspec_runtime.batch.endings import no_worker
from grainspec_runtime.batch.limits import Limits
from grainspec_runtime.batch.task import Call, Task
from grainspec_runtime.batch.work import Model, Place

MOST_ON_A_GPU = 8
_CONTEXT = 700_000_000
"""Bytes of a GPU that a process needs besides what it allocates: the CUDA context, libraries."""
_USABLE = 0.92
"""Share of a GPU's memory that workers are planned for; fragments take the rest."""
_ROUNDING = 1e-6


def on_one_gpu(needed: int, total: int, *, most: int = MOST_ON_A_GPU) -> int:
    """Return how many workers share a GPU of ``total`` bytes that need ``needed`` bytes each.

    >>> on_one_gpu(9_000_000_000, 80_000_000_000), on_one_gpu(60_000_000_000, 80_000_000_000)
    (7, 1)
    """
    return max(1, min(most, math.floor(_USABLE * total / (needed + _CONTEXT))))


def _smallest_gpu(work_ref: Any, seconds: float) -> int:
    """Return the memory in bytes of the smallest GPU, of one GPU of each machine."""
    try:
        refs = [method.remote(work_ref) for method in cluster.on_machines_with_gpus()]
        return min(map(int, ray.get(refs, timeout=seconds)))
    except ray.exceptions.GetTimeoutError as error:
        raise no_worker("a process with a GPU", seconds) from error
    except ray.exceptions.RayError as error:
        raise cluster.lost(str(error)) from error


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

    def answered(self, call: Call) -> None:
        """Remove a call that has ended: the next one begins."""
        self.calls.remove(call)
        if self.calls:
            self.calls[0].begun = time.monotonic()


@dataclass(eq=False)
class Workers:
    """All workers of a batch, and the room for more.

    gpus: whether workers have GPUs. gpu_bytes: the memory of the smallest. most: GPUs, or workers
    on CPUs, that the batch uses at most; None for all.
    """

    work_ref: Any
    gpus: bool
    most: int | None = None
    gpu_bytes: int = 0
    most_on_a_gpu: int = MOST_ON_A_GPU
    living: list[WorkerProcess] = field(default_factory=list)
    machines: int = 1
    cpus: int = 1
    room: float = 1.0
    """GPUs, or places for workers on CPUs."""

    @classmethod
    def of_cluster(cls, work_ref: Any, limits: Limits) -> Workers:
        """Return workers for the cluster as it is now; on GPUs, if it has any.

        Raises GrainError: G743 if no process with a GPU starts in time, G744 if the cluster ends.
        """
        gpus = not limits.on_cpus and cluster.resources().get("GPU", 0.0) > 0
        workers = cls(work_ref, gpus, limits.workers)
        workers.most_on_a_gpu = limits.on_a_gpu or MOST_ON_A_GPU
        if gpus:
            workers.gpu_bytes = _smallest_gpu(work_ref, limits.start_seconds)
        workers.look()
        return workers

    def look(self) -> None:
        """Find out what the cluster has now: machines may join and leave it.

        Raises GrainError (G744) if it no longer answers.
        """
        self.machines = cluster.machines()
        resources = cluster.resources()
        self.cpus = max(1, int(resources.get("CPU", 1)))
        room = resources.get("GPU", 0.0) if self.gpus else float(self.most or self.cpus)
        self.room = min(room, self.most or room)

    def share_of(self, model: Model) -> float:
        """Return the share of a GPU that a worker with this model needs."""
        if not self.gpus:
            return 1.0
        return 1 / on_one_gpu(model.gpu_bytes, self.gpu_bytes, most=self.most_on_a_gpu)

    def suits(self, worker: WorkerProcess, model: Model) -> bool:
        """Return whether a worker has a job's model, and GPU memory enough for the job."""
        return worker.model == model.key and worker.share >= self.share_of(model) - _ROUNDING

    def start(self, model: Model, idle: Callable[[WorkerProcess], bool]) -> WorkerProcess | None:
        """Start a worker for a model; None if there is no room, even without idle ones."""
        share = self.share_of(model)
        for other in [worker for worker in self.living if idle(worker)]:
            if self._has_room(share):
                break
            self.stop(other)
        if not self._has_room(share):
            return None
        # On CPUs, a machine would get all workers that half a CPU each has room for.
        kind = {"num_gpus": share} if self.gpus else {"scheduling_strategy": "SPREAD"}
        options = cluster.Actor.options(num_cpus=cluster.SIDE_CPUS, **kind)
        actor = options.remote(self.work_ref, model)
        worker = WorkerProcess(actor, model.key, share, started=actor.place.remote())
        self.living.append(worker)
        return worker

    def _has_room(self, share: float) -> bool:
        used = sum(worker.share for worker in self.living)
        return used + share <= self.room + _ROUNDING and len(self.living) < self._most_on_cpus

    @property
    def surplus(self) -> int:
        """How many workers are more than leave CPUs to others, since machines have left."""
        return max(0, len(self.living) - self._most_on_cpus)

    @property
    def _most_on_cpus(self) -> int:
        """Workers that leave CPUs to a task that prepares or saves, which else waits for ever."""
        return int(self.cpus / cluster.SIDE_CPUS) - 1

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

    @property
    def share_caches(self) -> bool:
        """Whether all workers are certain to have the same cache folder, also those to come."""
        places = [worker.place for worker in self.living if worker.place]
        caches = {place.cache for place in places}
        if len(caches) > 1 or "" in caches:
            return False
        return self.machines == 1 or len({place.host for place in places}) > 1

    def reaches(self, worker: WorkerProcess, task: Task) -> bool:
        """Return whether a worker has a job's inversions, or no other worker has them either."""
        if task.carried is not None or not task.cache:
            return True
        places = [other.place for other in self.living if self.suits(other, task.model)]
        having = [place for place in places if place and place.cache == task.cache]
        return worker.place in having or not having
