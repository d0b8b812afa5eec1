"""A clip is inverted once for all workers of a batch, also where they read no cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from clips import ClipFolder

pytest.importorskip("ray")

from ray_here import ray_here
from stub_batch import StubWork, stub_job, stub_units

from grainspec_runtime.batch.driver import Driver
from grainspec_runtime.batch.edit_work import EditWork
from grainspec_runtime.batch.edit_worker import EditWorker
from grainspec_runtime.batch.jobs import BatchJob, Sharing, jobs_of_specs
from grainspec_runtime.batch.kept import kept
from grainspec_runtime.batch.limits import Limits
from grainspec_runtime.batch.places import Places
from grainspec_runtime.batch.units import MOST, units_of
from grainspec_runtime.cache.folder import cache_folder
from grainspec_runtime.models.options import LoadOptions

UNREAD: list[dict[str, Any]] = [{"use_cache": False}, {"fresh": True}]
"""Options with which workers read no cache."""


def jobs(root: Path, number: int) -> list[BatchJob]:
    variants = [f"variant v{one} {{ attention {{ self 0.{one + 10} }} }}" for one in range(number)]
    clip = ClipFolder(root, frames=2)
    (root / "edit.grain").write_text(
        clip.spec_text(settings="\n".join(["sampler { steps 2 }", *variants]))
    )
    return list(jobs_of_specs([root / "edit.grain"], Sharing()))


def work(root: Path, **options: Any) -> EditWork:
    places = Places(str(root / "out"), root / "staging")
    return EditWork(places, LoadOptions(device="cpu"), **options)


@pytest.mark.parametrize("options", UNREAD)
def test_another_worker_uses_the_inversion(options: dict[str, Any], tmp_path: Path) -> None:
    first, second = jobs(tmp_path, 2)
    editing = work(tmp_path, **options)
    report, prepared = editing.prepare([first, second])
    assert report.model
    making, using = (EditWorker(editing, report.model) for _ in range(2))
    assert (making.place().cache, using.place().cache) == ("", "")
    shared, carried = making.share(prepared, {0: first, 1: second}, carry=False)
    [key] = shared.made
    assert list(carried) == [key]
    failure, (result, _) = using.sample(prepared, 1, second, carried)
    assert failure is None
    assert result.inversion_cached
    again, passed_on = using.share(prepared, {0: first}, carried, carry=False)
    assert (again.failures, again.made, list(passed_on)) == ((None,), frozenset(), [key])
    anew, _ = EditWorker(editing, report.model).share(prepared, {0: first}, carry=False)
    assert anew.made == {key}
    cached = list((cache_folder() / "inversions").glob("*.safetensors"))
    assert bool(cached) == bool(options.get("use_cache", True))

    known = {"attempts": 1, "seconds_prepare": 0.5}
    row = editing.save(second, (result, {"host": "night"}), known)
    assert isinstance(row, dict)
    assert (row["attempts"], row["host"]) == (1, "night")
    [found] = kept(tmp_path / "out", [second]).rows  # its batch was killed before it wrote the row
    same = ("host", "attempts", "seconds_prepare", "version_ray", "target")
    assert [found[name] for name in same] == [row[name] for name in same]

    _, (alone, _) = EditWorker(work(tmp_path), report.model).sample(prepared, 1, second, {})
    assert (alone.edited == result.edited).all()


@pytest.mark.cluster
@pytest.mark.timeout(200)
def test_units_of_a_clip_hand_on_what_no_cache_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAINSPEC_CACHE", "")
    made = [stub_job(number, number // 48) for number in range(96)]
    rows: list[Any] = []
    with ray_here():
        units = stub_units(made)
        driver = Driver(StubWork(tmp_path / "log"), units, rows.append, limits=Limits(workers=3))
        driver.run()
    assert (len(rows), driver.inversions) == (96, 2)
    log = (tmp_path / "log").read_text().splitlines()
    assert log.count("share clip-0") == log.count("share clip-1") == 3


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_a_batch_without_a_cache_inverts_once(tmp_path: Path) -> None:
    made = jobs(tmp_path, MOST + 4)
    editing, rows = work(tmp_path, use_cache=False), list[Any]()
    with ray_here():
        units = units_of(made, [])
        driver = Driver(editing, units, rows.append, limits=Limits(workers=2, on_cpus=True))
        driver.run()
    assert driver.inversions == 1
    assert {row["state"] for row in rows} == {"done"}
    records = [json.loads(path.read_text()) for path in tmp_path.glob("out/runs/*/run.json")]
    assert [record["inversion_cached"] for record in records] == [True] * len(made)
    assert not cache_folder().joinpath("inversions").exists()
