"""Measure what the driver of `grain batch` costs by itself: 10,000 jobs whose stages do nothing.

    python runtime/benchmarks/batch_scheduler.py
    python runtime/benchmarks/batch_scheduler.py --jobs 2000 --runs 2 --json scheduler.json

A local cluster of Ray runs the jobs of clips with 16 jobs each through all stages: preparing,
sharing, sampling and saving are calls to other processes, and each row is written to the manifest.
Prints the wall and processor time of the driver for a job, and its memory while the jobs run: what
is kept for a job that ended would make it grow. Then the manifest is put together and read, and the
page is written, as at the end of a batch. Leave the machine idle otherwise: the load is printed.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from written import write_results

from grainspec_runtime.batch import manifest
from grainspec_runtime.batch.cluster import cluster
from grainspec_runtime.batch.driver import Driver
from grainspec_runtime.batch.failures import Failure
from grainspec_runtime.batch.jobs import BatchJob
from grainspec_runtime.batch.limits import Limits
from grainspec_runtime.batch.page import write_page
from grainspec_runtime.batch.units import Unit
from grainspec_runtime.batch.work import Model, Place, Prepared, Shared

OF_A_CLIP = 16


@dataclass(frozen=True)
class NoWork:
    """Stages that do nothing."""

    def prepare(self, jobs: Sequence[BatchJob]) -> tuple[Prepared, Any]:
        """Prepare nothing."""
        return Prepared((None,) * len(jobs), Model("none")), None

    def worker(self, model: Model) -> NoWorker:
        """Return a worker that does nothing."""
        return NoWorker()

    def save(self, job: BatchJob, result: Any, known: Mapping[str, Any]) -> Mapping[str, Any]:
        """Save nothing."""
        return {"job": job.digest, "name": job.name, "state": "done", **known}

    def gpu_total(self) -> int:
        """Return nothing of use."""
        return 1


class NoWorker:
    """A worker that does nothing."""

    def place(self) -> Place:
        """Return where it runs."""
        return Place(os.getpid(), platform.node(), "none")

    def share(
        self, prepared: Any, jobs: Mapping[int, BatchJob], *, carry: bool
    ) -> tuple[Shared, Any]:
        """Share nothing."""
        return Shared((None,) * len(jobs), (None,) * len(jobs)), {}

    def sample(
        self, prepared: Any, index: int, job: BatchJob, carried: Any
    ) -> tuple[Failure | None, Any]:
        """Sample nothing."""
        return None, None


def units(count: int) -> Iterator[Unit]:
    """Make the units of so many jobs, one after the other."""
    for first in range(0, count, OF_A_CLIP):
        names = [f"job{number:06}" for number in range(first, min(count, first + OF_A_CLIP))]
        made = [BatchJob(name, name, Path("a"), "", None, None, ()) for name in names]
        yield Unit(tuple(made), f"clip{first}")


def memory() -> int:
    """Return the resident memory of this process in bytes (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _ending(record: manifest.Manifest, count: int) -> dict[str, float]:
    """Return what it takes to put the manifest together, to resume from it, and to show it."""
    folder = record.folder
    parts = len(list((folder / manifest.PARTS).iterdir()))
    start = time.perf_counter()
    record.complete()
    completed = time.perf_counter()
    assert len(manifest.states(folder)) == count
    resumed = time.perf_counter()
    write_page(folder, folder / "index.html", [job for unit in units(count) for job in unit.jobs])
    return {
        "parts of the manifest": parts,
        "seconds to put it together": round(completed - start, 3),
        "seconds to read it when resumed": round(resumed - completed, 3),
        "seconds to write the page": round(time.perf_counter() - resumed, 3),
        "size of the manifest in MB": round((folder / manifest.FILE).stat().st_size / 1e6, 3),
        "memory in MB at the end": round(memory() / 1e6, 1),
    }


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the jobs once, and return what they cost."""
    grown: list[tuple[int, int]] = []
    load = os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory() as folder,
        cluster(None, cpus=arguments.workers, object_store=100_000_000),
    ):
        record = manifest.Manifest(Path(folder))

        def look(driver: Driver) -> None:
            done = driver.counts["done"]
            if done >= len(grown) * arguments.jobs // 10:
                grown.append((done, memory()))

        limits = Limits(workers=arguments.workers)
        driver = Driver(NoWork(), units(arguments.jobs), record.add, limits=limits, tick=look)
        wall, used = time.perf_counter(), time.process_time()
        driver.run()
        wall, used = time.perf_counter() - wall, time.process_time() - used
        after = _ending(record, arguments.jobs)
    return {
        "load average before": round(load, 2),
        "processors": os.cpu_count(),
        "wall milliseconds a job": round(1e3 * wall / arguments.jobs, 3),
        "processor milliseconds of the driver a job": round(1e3 * used / arguments.jobs, 3),
        "memory in MB after jobs": {done: round(size / 1e6, 1) for done, size in grown},
        **after,
    }


def main() -> None:
    """Run the jobs, and print what they cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = {}
    for number in range(1, arguments.runs + 1):
        results[f"run {number}"] = measured(arguments)
        print(f"run {number}")
        for name, value in results[f"run {number}"].items():
            print(f"  {name}: {value}")
    write_results(arguments, results, on_gpu=False)


if __name__ == "__main__":
    main()
