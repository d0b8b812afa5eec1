"""The driver of batches on a local cluster of Ray, with stages that compute nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

import ray
from ray_here import assert_gone, begun, ray_here
from stub_batch import StubWork, stub_job, stub_units

from grainspec import GrainError
from grainspec_runtime.batch.driver import Driver
from grainspec_runtime.batch.limits import Limits
from grainspec_runtime.batch.task import Pending
from grainspec_runtime.batch.work import Model
from grainspec_runtime.batch.workers import WorkerProcess, Workers, on_one_gpu

RETRIES = 2
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(200)]  # some seconds each, if not busy


@pytest.fixture(scope="module", autouse=True)
def local_cluster() -> Iterator[None]:
    with ray_here():
        yield


def run(
    tmp_path: Path, jobs: list[Any], tick: Any = lambda driver: None, **how: Any
) -> tuple[dict[str, Any], Counter[str], Driver]:
    """The rows of jobs, by name; how often each thing was done; and the driver."""
    limits = Limits(**{"workers": 2, "retries": RETRIES, **how})
    work, rows = StubWork(tmp_path / "log"), list[Any]()
    driver = Driver(work, stub_units(jobs), rows.append, limits=limits, tick=tick)
    driver.run()
    assert len(rows) == len({row["job"] for row in rows}) == len(jobs)  # none lost, none twice
    done = Counter((tmp_path / "log").read_text().splitlines())
    return {row["name"]: row for row in rows}, done, driver


def test_jobs_that_fail_are_tried_again_or_set_aside(tmp_path: Path) -> None:
    jobs = [stub_job(number, number // 4) for number in range(20)]
    jobs[2] = stub_job(2, 0, "dies")
    jobs[5] = stub_job(5, 1, "dies once")
    jobs[9] = stub_job(9, 2, "fails")
    jobs[13] = stub_job(13, 3, "fails once")
    jobs[17] = stub_job(17, 4, "unread")
    rows, done, driver = run(tmp_path, jobs)

    codes = {name: row["code"] for name, row in rows.items() if row["state"] == "set aside"}
    assert codes == {"job-00002": "G741", "job-00009": "G505", "job-00017": "G505"}
    assert rows["job-00002"]["attempts"] == 1 + RETRIES == len(rows["job-00002"]["reasons"])
    assert re.match(r"sample: ActorDiedError: .*\bexits\b", rows["job-00002"]["reasons"][0])
    assert rows["job-00009"]["attempts"] == 1  # another try would end in the same way
    assert rows["job-00013"]["attempts"] == 2
    assert "G506" in rows["job-00013"]["reasons"][0]
    deaths = done["sample job-00002"] + 1  # and that of job-00005
    died = [reason for row in rows.values() for reason in row["reasons"] if "ActorDied" in reason]
    assert len(died) == deaths
    # An answer may be lost with its worker, which had begun the next job: the wrong one is blamed,
    # but only once, since it runs by itself then.
    for job in jobs:
        if not job.sets:
            assert rows[job.name]["attempts"] <= 2, job.name
            assert done[f"save {job.name}"] == 1
    assert [done[f"share clip-{clip}"] for clip in range(5)] == [1] * 5
    assert driver.inversions == 5
    sampled = [row for row in rows.values() if row["state"] == "done"]
    assert {row["inversion_cached"] for row in sampled} == {False}
    assert {row["seconds_prepare"] for row in sampled} == {2.0 / 4}  # of a unit of four jobs
    assert driver.counts == {"done": 17, "set aside": 3} | dict.fromkeys(
        ("preparing", "waiting", "inverting", "sampling", "saving"), 0
    )


def test_rows_say_whether_an_inversion_was_in_the_cache(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("share clip-0\n")  # of an earlier batch
    jobs = [stub_job(number, number // 20) for number in range(40)]  # two units of each clip
    rows, _, driver = run(tmp_path, jobs)
    assert [rows[job.name]["inversion_cached"] for job in jobs] == [True] * 20 + [False] * 20
    assert driver.inversions == 1


def test_a_job_that_hangs_is_ended_and_its_worker_replaced(tmp_path: Path) -> None:
    jobs = [stub_job(number, number // 4) for number in range(12)]
    jobs[0] = stub_job(0, 0, "hangs saving once")
    jobs[5] = stub_job(5, 1, "hangs")
    jobs[10] = stub_job(10, 3, "endless")
    jobs[11] = stub_job(11, 2, "hangs once")
    rows, done, _ = run(tmp_path, jobs, retries=1, stage_seconds=2.0)
    failed = {name: row["code"] for name, row in rows.items() if row["state"] == "set aside"}
    assert failed == {"job-00005": "G763", "job-00010": "G763"}
    reason = "did not end within 2 s"
    assert rows["job-00005"]["message"] == f"sample: it {reason}, in the last of 2 attempts"
    assert [reason in told for told in rows["job-00010"]["reasons"]] == [True, True]
    assert "prepare" in rows["job-00010"]["message"]
    assert rows["job-00000"]["attempts"] == 2
    assert done["sample job-00011"] == 2  # its worker, stopped, may not have sent the answer before
    assert done["sample job-00000"] == 1  # its result was still there
    assert done["save job-00000"] == 2


def test_workers_leave_cpus_to_what_prepares_and_saves(tmp_path: Path) -> None:
    most: list[int] = []

    def look(driver: Driver) -> None:
        most.append(len(driver.workers.living))

    rows, _, _ = run(tmp_path, [stub_job(number, number) for number in range(12)], look, workers=8)
    assert {row["state"] for row in rows.values()} == {"done"}
    assert max(most) == 3  # half a CPU each, of two


def test_what_runs_longest_is_told(tmp_path: Path) -> None:
    told: list[Any] = []

    def look(driver: Driver) -> None:
        told.append(driver.longest())

    run(tmp_path, [stub_job(number, 0) for number in range(3)], tick=look)
    assert {one[0] for one in told if one} <= {"preparing", "inverting", "sampling", "saving"}
    assert all(one[1].startswith("job-0000") for one in told if one)
    assert told[-1] is None


def test_what_waits_between_stages_is_bounded(tmp_path: Path) -> None:
    most: Counter[str] = Counter()

    def look(driver: Driver) -> None:
        for stage, count in driver.counts.items():
            most[stage] = max(most[stage], count)

    run(tmp_path, [stub_job(number, number // 16) for number in range(320)], tick=look)
    assert most["preparing"] + most["waiting"] <= 64 + 16 * 3
    assert most["sampling"] <= 4  # two workers, two calls each
    assert most["sampling"] + most["saving"] <= 12


def test_cancelling_stops_the_workers(tmp_path: Path) -> None:
    def interrupt(driver: Driver) -> None:
        if driver.counts["done"] >= 5:
            raise KeyboardInterrupt

    rows: list[Mapping[str, Any]] = []
    units = stub_units([stub_job(number, 0) for number in range(200)])
    driver = Driver(StubWork(), units, rows.append, limits=Limits(workers=2), tick=interrupt)
    with pytest.raises(KeyboardInterrupt):
        driver.run()
    assert 5 <= len(rows) < 200
    assert not driver.workers.living


def test_a_worker_that_cannot_be_reached_is_ended(tmp_path: Path) -> None:
    lost: dict[int, str] = {}
    workers = []  # while something refers to an actor, Ray does not end it by itself

    def lose(driver: Driver) -> None:
        for worker in [one for one in driver.workers.living if one.calls and not lost]:
            assert worker.place
            lost[worker.place.pid] = begun(worker.place.pid)
            workers.append(worker)
            error = ray.exceptions.ActorUnavailableError("the network is down", None)
            driver._lost(worker, error)

    rows, _, _ = run(tmp_path, [stub_job(number, number // 4) for number in range(12)], tick=lose)
    assert {row["state"] for row in rows.values()} == {"done"}
    assert lost
    assert_gone(lost)


def test_what_was_lost_with_a_machine_is_prepared_again(tmp_path: Path) -> None:
    lost: list[str] = []
    pids: set[int] = set()

    def gone() -> Any:
        raise ray.exceptions.ObjectLostError("00", None, "")

    def lose(driver: Driver) -> None:
        pids.update(one.place.pid for one in driver.workers.living if one.place)
        for worker in [one for one in driver.workers.living if one.calls and len(lost) < 2]:
            call = worker.calls[0]
            lost.extend(task.job.name for task in call.tasks)
            driver._pending.pop(call.report).handle(gone)

    jobs = [stub_job(number, number // 2) for number in range(8)]
    rows, done, _ = run(tmp_path, jobs, lose, workers=1)
    assert {row["state"] for row in rows.values()} == {"done"}
    assert len(lost) >= 2
    assert all("ObjectLostError" in rows[name]["reasons"][0] for name in lost)
    assert len(pids) == 1  # the worker that asked for it is not to blame
    assert all(done[f"save {name}"] == 1 for name in rows)


def test_a_batch_does_not_wait_for_a_worker_that_nobody_needs(tmp_path: Path) -> None:
    @ray.remote(num_cpus=100)  # more than there are
    def never() -> None: ...

    def ask_for_more(driver: Driver) -> None:
        if driver.counts["done"] == 1:
            driver._pending[never.remote()] = Pending(lambda value: None)

    rows, _, _ = run(tmp_path, [stub_job(number, 0) for number in range(4)], ask_for_more)
    assert len(rows) == 4


def test_a_batch_ends_if_no_worker_starts() -> None:
    rows: list[Mapping[str, Any]] = []
    limits = Limits(workers=1, retries=1, start_seconds=0.5)
    driver = Driver(StubWork(stuck=True), stub_units([stub_job(1, 1)]), rows.append, limits=limits)
    with pytest.raises(GrainError, match="2 workers in a row did not start") as refused:
        driver.run()
    assert refused.value.diagnostics[0].code == "G743"
    assert not driver.workers.living
    assert not rows  # the same command runs it


def test_a_job_runs_only_where_it_has_memory_enough() -> None:
    workers = Workers(None, gpus=True, gpu_bytes=80_000_000_000)
    small, large = Model("a", None, 9_000_000_000), Model("a", None, 60_000_000_000)
    on_a_seventh = WorkerProcess(None, "a", workers.share_of(small))
    on_a_whole = WorkerProcess(None, "a", workers.share_of(large))
    assert workers.suits(on_a_seventh, small)
    assert not workers.suits(on_a_seventh, large)
    assert workers.suits(on_a_whole, small)
    assert workers.suits(on_a_whole, large)
    assert not workers.suits(on_a_whole, Model("b", None, 1))


def test_a_gpu_is_shared_by_what_fits() -> None:
    total = 80_000_000_000
    for needed in (1_000_000_000, 9_000_000_000, 30_000_000_000, 200_000_000_000):
        number = on_one_gpu(needed, total, most=64)
        assert number * needed < total or number == 1
        assert (number + 1) * (needed + 700_000_000) > 0.9 * total
    assert on_one_gpu(1_000_000, total) == 8
