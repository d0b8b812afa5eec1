"""Batches on a cluster of several machines: two that are this one, with caches of their own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from clips import ClipFolder
from PIL import Image

pytest.importorskip("ray")

from ray_here import add_machine, machines_here
from stub_batch import StubWork, stub_job, stub_units

from grainspec_runtime.batch.cluster import cluster
from grainspec_runtime.batch.driver import Driver
from grainspec_runtime.batch.edit_work import EditWork
from grainspec_runtime.batch.jobs import Sharing, jobs_of_specs
from grainspec_runtime.batch.limits import Limits
from grainspec_runtime.batch.places import Places
from grainspec_runtime.batch.run import Cluster, run_batch
from grainspec_runtime.models.options import LoadOptions

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


def test_machines_join_and_leave(tmp_path: Path) -> None:
    rows, nodes, seen = list[Any](), list[Any](), Counter[str]()
    work = StubWork(tmp_path / "log", bulk=200_000, seconds=0.3)  # so large that it stays there
    jobs = [stub_job(number, number // 4) for number in range(64)]

    with machines_here(tmp_path / "first") as machines:

        def look(driver: Driver) -> None:
            caches = {one.place.cache for one in driver.workers.living if one.place and one.calls}
            seen["machines"] = max(seen["machines"], driver.workers.machines)
            seen["caches"] = max(seen["caches"], len(caches))
            if driver.counts["done"] >= 4 and not nodes:
                nodes.append(add_machine(machines, tmp_path / "second"))
            if len(caches) == 2 and not seen["removed at"]:
                seen["removed at"] = driver.counts["done"]
                machines.remove_node(nodes[0], allow_graceful=False)

        with cluster(machines.address):
            Driver(work, stub_units(jobs), rows.append, tick=look).run()
    assert (seen["machines"], seen["caches"]) == (2, 2)
    assert 4 <= seen["removed at"] < 64
    assert Counter(row["job"] for row in rows) == Counter(job.digest for job in jobs)
    assert {row["state"] for row in rows} == {"done"}
    assert [reason for row in rows for reason in row["reasons"]]  # of what ran there


def test_inversions_travel_between_caches(tmp_path: Path) -> None:
    """Two workers begin with a clip each; one has less to do, and helps with the other's clip."""
    specs = []
    for name, number in (("short", 1), ("long", 8)):
        (tmp_path / name).mkdir()
        specs.append(tmp_path / name / "edit.grain")
        variants = [f"variant v{one} {{ attention {{ self 0.{one} }} }}" for one in range(number)]
        clip = ClipFolder(tmp_path / name, frames=2)
        specs[-1].write_text(clip.spec_text(settings="\n".join(["sampler { steps 3 }", *variants])))
    Image.new("RGB", (64, 48), "red").save(tmp_path / "long/clip/00000.png")
    caches, out = [tmp_path / "first", tmp_path / "second"], tmp_path / "out"
    work = EditWork(Places(str(out), tmp_path / "staging"), LoadOptions(device="cpu"))
    jobs = list(jobs_of_specs(specs, Sharing()))
    limits = Limits(workers=2, on_cpus=True)
    with machines_here(*caches) as machines:
        summary = run_batch(jobs, work, out, on=Cluster(machines.address), limits=limits)
    assert (summary.done, summary.inversions, summary.set_aside) == (9, 2, ())
    first, second = (
        {path.name for path in (cache / "inversions").glob("*.safetensors")} for cache in caches
    )
    assert len(first | second) == 2
    assert first & second
