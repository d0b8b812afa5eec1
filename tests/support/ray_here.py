"""A cluster of Ray for tests: with this process's modules, and with nothing left of it afterwards."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from grainspec_runtime.batch.cluster import cluster

from ray.cluster_utils import Cluster  # isort: skip  (after the settings that `cluster` makes)

_SECONDS = 60.0
"""For processes to go; on a busy machine, Python's end takes some seconds."""


@contextmanager
def ray_here() -> Iterator[None]:
    """A local cluster on two CPUs; afterwards all of its processes have ended."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # for Ray's processes
        before = set(descendants(os.getpid()))
        with cluster(None, cpus=2, object_store=100_000_000):
            yield
            made = {pid: begun(pid) for pid in descendants(os.getpid()) if pid not in before}
    assert_gone(made)


@contextmanager
def machines_here(*caches: Path, cpus: int = 2) -> Iterator[Any]:
    """A cluster of several machines, all of them this one, each with a cache of its own."""
    before = set(descendants(os.getpid()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        patch.setenv("RAY_worker_niceness", "0")  # else processes hardly start on a busy machine
        patch.setenv("RAY_idle_worker_killing_time_threshold_ms", "60000")
        machines: Any = Cluster()  # has no annotations
        try:
            for cache in caches:
                add_machine(machines, cache, cpus=cpus)
            yield machines
        finally:
            made = {pid: begun(pid) for pid in descendants(os.getpid()) if pid not in before}
            machines.shutdown()
    assert_gone(made)


def add_machine(machines: Any, cache: Path, *, cpus: int = 2) -> Any:
    """Add a machine to a cluster; returns what `remove_node` takes."""
    return machines.add_node(
        num_cpus=cpus,
        object_store_memory=100_000_000,
        include_dashboard=False,
        env_vars={"GRAINSPEC_CACHE": str(cache)},
    )


def assert_gone(made: dict[int, str]) -> None:
    """Wait until processes have ended: by their numbers and start times."""
    end = time.monotonic() + _SECONDS
    while left := [pid for pid, start in made.items() if start and begun(pid) == start]:
        assert time.monotonic() < end, f"{left} are left of the cluster"
        time.sleep(0.1)


def descendants(root: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (fields := _fields(int(folder.name))):
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    found, waiting = [], [root]
    while waiting:
        new = children.get(waiting.pop(), [])
        found += new
        waiting += new
    return found


def begun(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty if it has ended."""
    fields = _fields(pid)
    return fields[19] if fields and fields[0] not in "ZX" else ""


def _fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name: state, parent, …; none if it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()
