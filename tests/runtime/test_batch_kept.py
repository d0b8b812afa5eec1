"""What a batch keeps when it is resumed: whole runs only, in a folder and behind a URL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from clips import EXAMPLES, ClipFolder
from command import Grain

pytest.importorskip("pyarrow")

from grainspec.remote.files import put_file, remove
from grainspec_runtime.batch import manifest
from grainspec_runtime.batch.jobs import BatchJob, Sharing, jobs_of_specs
from grainspec_runtime.batch.kept import kept
from grainspec_runtime.batch.rows import row_of_job
from grainspec_runtime.runs.read import WHOLE, missing_file
from grainspec_runtime.runs.write import finished_run

RECORD: dict[str, Any] = {"spec": {"target": "a pig"}, "seed": 7, "run_key": "key"}
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


def test_what_a_run_writes_is_whole(tmp_path: Path, grain: Grain) -> None:
    spec = tmp_path / "edit.grain"
    spec.write_text(ClipFolder(tmp_path, frames=1).spec_text(settings="sampler { steps 1 }"))
    run = tmp_path / "run"
    assert grain("run", spec, "-o", run, "--device", "cpu").code == 0
    assert missing_file(run) is None
    key = json.loads((run / "run.json").read_text())["run_key"]
    assert finished_run(run, key) is not None
    (run / "edited.mp4").unlink()
    assert missing_file(run) == "edited.mp4"
    assert finished_run(run, key) is None  # or an interrupted batch would not write it again
