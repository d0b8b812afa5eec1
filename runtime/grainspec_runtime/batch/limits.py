"""How much of a cluster a batch uses, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How much of a cluster a batch uses.

    workers: at most so many; None for what the cluster has. on_a_gpu: workers that share a GPU at
    most. retries: further attempts of a job, and of starting a worker. on_cpus: use no GPUs.
    start_seconds: for a worker to start, before it loads its model; on a cluster that others use,
    it may first have to wait for a GPU. stage_seconds: for each stage of a job, or of the jobs that
    are prepared or inverted together; None for no limit.
    """

    workers: int | None = None
    on_a_gpu: int | None = None
    retries: int = 2
    on_cpus: bool = False
    start_seconds: float = 900.0
    stage_seconds: float | None = None
