"""A cluster of Ray: a local one by itself, or one that runs; and the stages as its tasks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from grainspec.diagnostics import GrainError, fail
from grainspec.remote.address import without_secrets
from grainspec_runtime.batch.interrupts import interrupts_deferred, interrupts_ignored
from grainspec_runtime.batch.jobs import BatchJob
from grainspec_runtime.batch.work import Model, Place, Row, Shared, Work

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone
os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # the driver handles them
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
import ray
from ray.experimental import internal_kv
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from grainspec_runtime.batch.cluster_address import TOKEN_CURE, TokenRefusedError, require_answer

SIDE_CPUS = 0.5
"""CPUs of a task that prepares or saves; on a machine without GPUs, a worker has as many."""
ANSWER_SECONDS = 10.0
"""For what a cluster that lives answers at once."""
_BEGUN = "grain-batch"
"""Ray's namespace for the names of tasks that run."""
_LOCAL = {
    # Ray gives its workers niceness 15. Beside another program that computes they then get almost
    # no time: a start of one second took more than two minutes. `nice grain batch` still is nice.
    "worker_niceness": 0,
    # Ray ends an idle process after a second, and the next task imports everything anew.
    "idle_worker_killing_time_threshold_ms": 60_000,
}


@contextmanager
def cluster(
    address: str | None, *, cpus: int | None = None, object_store: int | None = None
) -> Iterator[None]:
    """Connect to a cluster inside the block; without an address, start one on this machine.

    A local one ends with the block, and when this process is killed. ``object_store`` is the memory
    of its object store in bytes. Raises GrainError (G744) if there is none at the address.
    """
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    local: dict[str, Any] = {
        "num_cpus": cpus,
        "object_store_memory": object_store,
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
        "_system_config": _LOCAL,
    }
    try:
        if address:
            require_answer(address)
        with interrupts_deferred():
            ray.init(address=address or "local", **quiet, **({} if address else local))
    except KeyboardInterrupt:
        _end()
        raise
    except (OSError, RuntimeError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
        where = f"the cluster at {address}" if address else "a local cluster of Ray"
        reason = (str(error) or type(error).__name__).splitlines()[0]
        message = without_secrets(f"{where} cannot be used: {reason}")
        cure = "Start one (`ray start --head`), and give its address with `--address`."
        if address:
            cure = "Start one (`ray start --head`) and give its address, or leave `--address` out."
        refused = isinstance(error, TokenRefusedError)
        raise fail("G744", message, TOKEN_CURE if refused else cure) from error
    # Its other processes' messages go to stdout even with `log_to_driver` off; ours are there.
    vars(ray._private.worker).update(_worker_logs_enabled=False)
    try:
        yield
    finally:
        _end()


def _end() -> None:
    with interrupts_ignored():
        ray.shutdown()


def _prepare(work: Work, jobs: Sequence[BatchJob], limited: bool) -> tuple[Any, Any]:
    with _said_to_begin(limited):
        return work.prepare(jobs)


def _save(work: Work, job: BatchJob, result: Any, known: Row, limited: bool) -> Any:
    with _said_to_begin(limited):
        return work.save(job, result, known)


@contextmanager
def _said_to_begin(limited: bool) -> Iterator[None]:
    """Tell the driver that this task runs, if its time is limited: it may have waited for a CPU."""
    if not limited:
        yield
        return
    name = ray.get_runtime_context().get_task_id() or ""
    internal_kv._internal_kv_put(name, b"", overwrite=True, namespace=_BEGUN)
    try:
        yield
    finally:
        internal_kv._internal_kv_del(name, namespace=_BEGUN)


def has_begun(ref: Any) -> bool:
    """Return whether a task with a limit runs at the moment."""
    name = ref.task_id().hex()
    return bool(internal_kv._internal_kv_exists(name, namespace=_BEGUN))


def end_task(ref: Any) -> None:
    """End the process of a task that runs; its object becomes an exception."""
    ray.cancel(ref, force=True)
    internal_kv._internal_kv_del(ref.task_id().hex(), namespace=_BEGUN)


def _measure(work: Work, job: BatchJob) -> Any:
    return work.measured(job)


def _gpu_total(work: Work) -> int:
    return work.gpu_total()


class _Actor:
    """A worker in a process of its own."""

    def __init__(self, work: Work, model: Model) -> None:
        self._worker = work.worker(model)

    def place(self) -> Place:
        """Return where the worker runs."""
        return self._worker.place()

    def share(
        self, prepared: Any, jobs: Mapping[int, BatchJob], carry: bool, *known: Any
    ) -> tuple[Shared, Any]:
        """Make the inversions of jobs."""
        return self._worker.share(prepared, jobs, *known, carry=carry)

    def sample(self, prepared: Any, index: int, job: BatchJob, carried: Any) -> tuple[Any, Any]:
        """Make the edit of a job."""
        return self._worker.sample(prepared, index, job, carried)


# What fails is decided by the driver alone: Ray tries nothing again by itself.
prepare: Any = ray.remote(max_retries=0)(_prepare)
save: Any = ray.remote(max_retries=0)(_save)
measure: Any = ray.remote(max_retries=0)(_measure)
gpu_total: Any = ray.remote(max_retries=0, num_cpus=0, num_gpus=0.01)(_gpu_total)
Actor: Any = ray.remote(max_restarts=0, max_task_retries=0)(_Actor)


def on_machines_with_gpus() -> list[Any]:
    """Return the task `gpu_total` for each machine that has GPUs."""
    return [
        gpu_total.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], False))
        for node in _nodes()
        if node["Alive"] and node["Resources"].get("GPU")
    ]


def machines() -> int:
    """Return the number of machines of the cluster that are alive.

    Raises GrainError (G744) if the cluster no longer answers, or has lost this machine. Without
    that, what runs on other machines goes on, but nothing that is started here ever ends.
    """
    node: Any = ray._private.worker._global_node  # has the processes of a local cluster
    for kind, _ in node.dead_processes() if node else ():
        if kind in ("raylet", "gcs_server"):
            raise lost(f"its process {kind} ended")
    try:
        here = ray.get_runtime_context().get_node_id()
        alive = {node["NodeID"] for node in _nodes() if node["Alive"]}
    except (RuntimeError, OSError, ray.exceptions.RayError) as error:
        raise lost(str(error)) from error
    if here not in alive:
        raise lost("it has lost this machine")
    return len(alive)


def lost(reason: str) -> GrainError:
    """Return the error (G744) that ends a batch whose cluster has ended."""
    first = without_secrets((reason.strip() or "it does not answer").splitlines()[0])[:200]
    cure = "Give the same command again: it goes on from the jobs that are done. Watch the memory."
    return fail("G744", f"the cluster of Ray ended while the batch ran: {first}", cure)


def _nodes() -> list[dict[str, Any]]:
    found: Any = ray.nodes  # has no annotations
    return list(found())


def resources() -> Mapping[str, float]:
    """Return the resources of the cluster, such as ``CPU`` and ``GPU``."""
    found: Any = ray.cluster_resources  # has no annotations
    return dict(found())
