"""What a batch keeps when it is resumed: whole runs only, in a folder and behind a URL."""

from __future__ import annotations

import errno
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clips import EXAMPLES, ClipFolder
from command import Grain
from stub_batch import StubWork, stub_job

pytest.importorskip("pyarrow")

from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.remote.files import put_file, remove
from grainspec_runtime.batch import manifest
from grainspec_runtime.batch.edit_work import EditWork
from grainspec_runtime.batch.edit_worker import EditWorker
from grainspec_runtime.batch.failures import Failure
from grainspec_runtime.batch.jobs import BatchJob, Sharing, jobs_of_specs
from grainspec_runtime.batch.kept import kept
from grainspec_runtime.batch.places import Places
from grainspec_runtime.batch.rows import row_of_job
from grainspec_runtime.batch.written_runs import write_known
from grainspec_runtime.editing.result import EditResult
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.runs.read import WHOLE, missing_file
from grainspec_runtime.runs.write import finished_run
from grainspec_runtime.whole_folder import whole_folder

RECORD: dict[str, Any] = {
    "spec": {"target": "a pig"},
    "seed": 7,
    "run_key": "key",
    "inversion_cached": True,
}
MEASURES = {"measures": [{"title": "PSNR outside, dB ↑", "value": 31.5}]}


def variants() -> list[BatchJob]:
    return list(jobs_of_specs([EXAMPLES / "variants.grain"], Sharing()))


def write_run(folder: Path, record: object = RECORD) -> Path:
    folder.mkdir(parents=True)
    for name in WHOLE:
        (folder / name).write_text("…")
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def with_rows(folder: Path, *jobs: BatchJob) -> None:
    record = manifest.Manifest(folder)
    for job in jobs:
        record.add({**row_of_job(job), "state": "done"})
    record.complete()


def test_a_batch_resumes_from_runs_and_rows(tmp_path: Path) -> None:
    first, second, third = variants()
    for job in (first, second):
        write_run(tmp_path / "runs" / job.name)
    (tmp_path / "runs" / third.name).mkdir()  # not whole yet
    with_rows(tmp_path, first)
    found = kept(tmp_path, [first, second, third])
    assert found.done == {first.digest, second.digest}
    assert [(row["job"], row["seed"]) for row in found.rows] == [(second.digest, 7)]
    assert found.rows[0]["inversion_cached"] is None  # by this batch, or by an earlier one
    assert found.findings() == []


@pytest.mark.parametrize("name", WHOLE)
def test_a_run_without_one_of_its_files_is_made_again(name: str, tmp_path: Path) -> None:
    first, second, _ = variants()
    for job in (first, second):
        write_run(tmp_path / "runs" / job.name)
    with_rows(tmp_path, first, second)
    (tmp_path / "runs" / first.name / name).unlink()
    found = kept(tmp_path, [first, second])
    assert found.done == {second.digest}
    [warning] = found.findings()
    assert (warning.code, warning.is_error) == ("G764", False)
    assert f"the run {first.name} is not whole any more: {name} is missing" in warning.message
    (tmp_path / "runs" / second.name / name).write_text("")  # of a full disk
    found = kept(tmp_path, [first, second])
    assert not found.done
    assert found.findings()[0].message.startswith("2 runs are not whole any more, such as")


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ('{"spec": {"tar', "cannot read"),
        ("[1]", "not a JSON object"),
        ("{}", "not a run's"),
        ('{"spec": 7}', "not a run's: `spec` is not an object"),
        ('{"spec": {}, "clip": 7}', "not a run's"),
        ('{"spec": {}, "seed": "seven"}', "not a run's"),
        ('{"spec": {}, "seconds": {"sample": "long"}}', "not a run's"),
    ],
)
@pytest.mark.parametrize("has_row", [True, False])
def test_one_damaged_record_stops_no_other_job(
    record: str, said: str, has_row: bool, tmp_path: Path
) -> None:
    first, second, _ = variants()
    for job in (first, second):
        write_run(tmp_path / "runs" / job.name)
    (tmp_path / "runs" / first.name / "run.json").write_text(record)
    if has_row:
        with_rows(tmp_path, first, second)
    found = kept(tmp_path, [first, second])
    assert found.done == {second.digest}
    assert said in found.spoilt[first.name]
    assert [row["job"] for row in found.rows] == ([] if has_row else [second.digest])


KNOWN = {"attempts": 2, "reasons": ["sample: it died"], "host": "night", "seed": 8}


@pytest.mark.parametrize("remote", [False, True])
def test_what_only_the_batch_knew_of_a_row(remote: bool, tmp_path: Path) -> None:
    job, *_ = variants()
    run = write_run(tmp_path / "runs" / job.name)
    output = f"memory://{tmp_path.name}" if remote else ""

    def row() -> dict[str, Any]:
        if remote:
            for file in run.iterdir():
                put_file(file, f"{output}/runs/{job.name}/{file.name}")
        [found] = kept(tmp_path, [job], output).rows
        return found

    assert row().get("attempts") is None
    write_known(run, job.digest, KNOWN)
    assert {name: row()[name] for name in KNOWN} == {**KNOWN, "seed": 7}  # as the run says
    for written in (
        '{"job": ',
        "[]",
        json.dumps({"job": "another", "columns": KNOWN}),
        json.dumps({"job": job.digest, "columns": {"attempts": "two", "host": "x"}}),
        json.dumps({"job": job.digest, "columns": {"no such": 1}}),
    ):
        (run / "batch-row.json").write_text(written)
        assert row().get("host") is None
        assert "no such" not in row()


def test_runs_behind_a_url(tmp_path: Path) -> None:
    jobs = variants()
    first, second, third = jobs
    place = f"memory://{tmp_path.name}/runs"
    for job in jobs:
        run = write_run(tmp_path / job.name)
        (run / "measures.json").write_text(json.dumps(MEASURES))
        for file in run.iterdir():
            put_file(file, f"{place}/{job.name}/{file.name}")
    with_rows(tmp_path, first)
    output = place.removesuffix("/runs")
    found = kept(tmp_path, jobs, output)
    assert found.done == {job.digest for job in jobs}
    assert [row["job"] for row in found.rows] == [second.digest, third.digest]
    assert (found.rows[0]["seed"], found.rows[0]["measure_psnr_outside"]) == (7, 31.5)
    assert (found.spoilt, found.unmeasured) == ({}, [])

    remove(f"{place}/{first.name}/edited.mp4")
    (tmp_path / "run.json").write_text('{"spec": {"tar')
    put_file(tmp_path / "run.json", f"{place}/{second.name}/run.json")
    remove(f"{place}/{third.name}/run.json")  # its transfer did not end
    found = kept(tmp_path, jobs, output)
    assert not found.done
    assert found.spoilt[first.name] == "edited.mp4 is missing or empty"
    assert "cannot read run.json" in found.spoilt[second.name]
    assert third.name not in found.spoilt
    assert kept(tmp_path, jobs, f"memory://{tmp_path.name}/none").done == set()


def test_runs_that_are_not_measured(tmp_path: Path) -> None:
    first, second, _ = variants()
    for job in (first, second):
        write_run(tmp_path / "runs" / job.name)
    (tmp_path / "runs" / first.name / "measures.json").write_text(json.dumps(MEASURES))
    found = kept(tmp_path, [first, second])
    assert [job.name for job in found.unmeasured] == [second.name]
    assert [row.get("measure_psnr_outside") for row in found.rows] == [31.5, None]


def test_what_a_run_writes_is_whole_and_can_be_measured(tmp_path: Path, grain: Grain) -> None:
    spec = tmp_path / "edit.grain"
    spec.write_text(ClipFolder(tmp_path, frames=2).spec_text(settings="sampler { steps 1 }"))
    [job] = jobs_of_specs([spec], Sharing())
    run = tmp_path / "runs" / job.name
    assert grain("run", spec, "-o", run, "--device", "cpu").code == 0
    assert missing_file(run) is None
    assert [one.name for one in kept(tmp_path, [job]).unmeasured] == [job.name]
    work = EditWork(Places(str(tmp_path), tmp_path), LoadOptions())
    columns = work.measured(job)
    assert isinstance(columns, dict)
    assert columns["measure_seconds"] > 0
    assert kept(tmp_path, [job]).measures == {job.digest: columns}

    key = json.loads((run / "run.json").read_text())["run_key"]
    assert finished_run(run, key) is not None
    (run / "edited.mp4").unlink()
    assert missing_file(run) == "edited.mp4"
    assert finished_run(run, key) is None  # or an interrupted batch would not write it again
    (run / "edited.mkv").unlink()
    failure = work.measured(job)
    assert isinstance(failure, Failure)
    assert failure.code == "G317"


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> tuple[BatchJob, EditResult]:
    pytest.importorskip("ray")  # its version is in the row
    root = tmp_path_factory.mktemp("edited")
    (root / "edit.grain").write_text(
        ClipFolder(root, frames=2).spec_text(settings="sampler { steps 1 }")
    )
    [job] = jobs_of_specs([root / "edit.grain"], Sharing())
    work = EditWork(Places(str(root), root), LoadOptions(device="cpu"), use_cache=False)
    report, prepared = work.prepare([job])
    assert report.model
    failure, (result, _) = EditWorker(work, report.model).sample(prepared, 0, job, {})
    assert failure is None
    return job, result


@pytest.mark.parametrize("damage", ["none", "no run.json", "cut run.json", "no edited.mp4"])
def test_a_batch_replaces_its_own_runs(
    damage: str, tmp_path: Path, edited: tuple[BatchJob, EditResult]
) -> None:
    job, result = edited
    work = EditWork(Places(str(tmp_path), tmp_path), LoadOptions())
    run = tmp_path / "runs" / job.name
    assert isinstance(work.save(job, (result, {}), {"attempts": 1}), dict)
    kind, _, name = damage.partition(" ")
    if kind == "no":
        (run / name).unlink()
    elif kind == "cut":
        (run / name).write_text((run / name).read_text()[:40])
    found = kept(tmp_path, [job])
    assert (job.digest in found.done) == (not name)
    assert [finding.code for finding in found.findings()] == (["G764"] if name else [])
    row = work.save(job, (result, {}), {"attempts": 2})
    assert isinstance(row, dict), row
    [again] = kept(tmp_path, [job]).rows
    assert again["attempts"] == 2


def test_the_memory_of_a_run_is_that_of_its_worker(
    tmp_path: Path, edited: tuple[BatchJob, EditResult]
) -> None:
    job, result = edited
    assert result.peak_memory_bytes
    assert result.peak_memory_bytes >= 2**20
    work = EditWork(Places(str(tmp_path), tmp_path), LoadOptions(), measure=True)
    of_worker = 123 * 2**20  # this process has more
    row = work.save(job, (replace(result, peak_memory_bytes=of_worker), {}), {})
    assert isinstance(row, dict)
    record = json.loads((tmp_path / "runs" / job.name / "run.json").read_text())
    assert record["peak_memory_bytes"] == row["peak_memory_bytes"] == of_worker
    assert row["measure_memory"] == 123
    finished = replace(result, was_finished=True, peak_memory_bytes=7)  # sampled by another worker
    row = work.save(job, (finished, {}), {})
    assert isinstance(row, dict)
    assert row["peak_memory_bytes"] == of_worker


def test_what_others_wrote_in_a_run_is_not_replaced(
    tmp_path: Path, edited: tuple[BatchJob, EditResult]
) -> None:
    job, result = edited
    work = EditWork(Places(str(tmp_path), tmp_path), LoadOptions())
    run = tmp_path / "runs" / job.name
    run.mkdir(parents=True)
    (run / "notes.txt").write_text("mine")
    failure = work.save(job, (result, {}), {})
    assert isinstance(failure, Failure)
    assert (failure.code, failure.may_pass) == ("G310", False)  # a further attempt meets it again
    (run / "notes.txt").unlink()
    run.rmdir()
    run.write_text("a file")
    failure = work.save(job, (result, {}), {})
    assert isinstance(failure, Failure)
    assert (failure.code, failure.may_pass) == ("G310", False)


def test_a_full_disk_may_pass(tmp_path: Path) -> None:
    with pytest.raises(GrainError) as refused, whole_folder(tmp_path / "run"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    failure = Failure.of(refused.value)
    assert (failure.code, failure.may_pass) == ("G310", True)
    assert Failure.of(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))).may_pass


@pytest.mark.cluster
@pytest.mark.timeout(200)
def test_kept_runs_are_measured_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    from grainspec_runtime.batch.limits import Limits
    from grainspec_runtime.batch.run import Cluster, Summary, run_batch

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # for Ray's processes
    out, work = tmp_path / "out", StubWork(tmp_path / "log")
    jobs = [stub_job(1, 1), stub_job(2, 1), stub_job(3, 1, "fails"), stub_job(4, 1, "dies")]
    for job in jobs:
        write_run(out / "runs" / job.name)
    (out / "runs" / jobs[0].name / "measures.json").write_text(json.dumps(MEASURES))
    with_rows(out, *jobs)
    told: list[Diagnostic] = []

    def run(**options: Any) -> Summary:
        told.clear()
        on = Cluster(cpus=2, object_store=100_000_000)
        return run_batch(jobs, work, out, on=on, limits=Limits(), warn=told.extend, **options)

    assert (run().kept, told) == (4, [])  # and Ray does not start
    assert not (tmp_path / "log").exists()
    summary = run(measure=True)
    assert (summary.done, summary.kept, summary.measured) == (4, 4, 1)
    assert (tmp_path / "log").read_text() == f"measure {jobs[1].name}\n"
    assert [finding.code for finding in told] == ["G765"]
    assert "2 kept jobs are not measured, such as job-0000" in told[0].message
    assert f"grain measure {out}/runs/job-0000" in told[0].cure
    rows = manifest.latest(out)
    measured = [rows[job.digest]["measure_psnr_outside"] for job in jobs]
    assert measured == [31.5, 31.5, None, None]
    assert {row["state"] for row in rows.values()} == {"done"}
    summary = run(measure=True, output=f"file://{out}")  # which are not fetched
    assert (summary.kept, summary.measured) == (4, 0)
    assert "3 kept jobs are not measured" in told[0].message
