"""The jobs of a batch, its record and its page; nothing here starts a cluster."""

from __future__ import annotations

import hashlib
import io
import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clips import EXAMPLES, ClipFolder
from command import Grain

pytest.importorskip("pyarrow")

import pyarrow as pa
from pyarrow import dataset, parquet, types
from rich.console import Console

from grainspec import GrainError, load, override
from grainspec_runtime.batch import manifest
from grainspec_runtime.batch.failures import Failure
from grainspec_runtime.batch.folder import claimed_folder, write_progress
from grainspec_runtime.batch.jobs import BatchJob, Sharing, jobs_of_specs, jobs_of_table
from grainspec_runtime.batch.page import batch_page, where_all
from grainspec_runtime.batch.rows import COLUMNS, row_of_failure, row_of_job
from grainspec_runtime.batch.run import distinct
from grainspec_runtime.batch.status import status_of
from grainspec_runtime.batch.table import Row, read_table
from grainspec_runtime.batch.units import MOST, units_of
from grainspec_runtime.commands.batch_table import _table
from grainspec_runtime.prepare import prepare

VARIANTS = EXAMPLES / "variants.grain"


def jobs(*specs: Path, **sharing: Any) -> list[BatchJob]:
    return list(jobs_of_specs(specs, Sharing(**sharing)))


def test_variants_and_grids_are_multiplied() -> None:
    grid = {"sampler.seed": ("1", "2"), "attention.self": ("0.3", "0.6", "0.9")}
    made = jobs(VARIANTS, grid=grid, sets=("sampler.steps=5",))
    assert len(made) == 3 * 2 * 3 == len({job.digest for job in made})
    assert {job.variant for job in made} == {"swapped", "left", "right"}
    assert made[0].sets == ("sampler.steps=5", "sampler.seed=1", "attention.self=0.3")
    assert made[0].chosen.sampler.steps == 5
    assert made[0].arguments[:4] == ["run", str(VARIANTS), "--variant", "swapped"]
    assert [job.variant for job in jobs(VARIANTS, variants=("left",))] == ["left"]
    assert [job.variant for job in jobs(EXAMPLES / "instance.grain")] == [None]
    with pytest.raises(GrainError, match="no variant `lft`") as unknown:
        jobs(VARIANTS, variants=("lft",))
    [finding] = unknown.value.diagnostics
    assert finding.code == "G740"
    assert finding.cure == "Name one of its variants: `swapped`, `left`, `right`."
    with pytest.raises(GrainError) as unknown:
        jobs(EXAMPLES / "instance.grain", variants=("lft",))
    assert unknown.value.diagnostics[0].cure == "It has no variants: name none."


def test_a_job_is_what_decides_its_result(tmp_path: Path) -> None:
    clip = ClipFolder(tmp_path)
    spec = tmp_path / "edit.grain"
    spec.write_text(clip.spec_text())
    [first] = jobs(spec)
    assert jobs(spec) == [first]
    assert jobs(spec, loading={"dtype": "float16"})[0].digest != first.digest
    spec.write_text(clip.spec_text(settings="sampler { steps 7 }"))
    assert jobs(spec)[0].digest != first.digest
    assert jobs(spec)[0].chosen.sampler.steps == 7


ROWS: list[dict[str, Any]] = [
    {"spec": "a.grain", "clip": "one.mp4", "sampler.seed": 3, "target": None},
    {"spec": "b/c.grain", "clip": "s3://b/two.mp4", "variant": "pig", "target": "a, pig"},
    {"clip": None, "base": "clips/7"},
]


def write_table(path: Path) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
    elif path.suffix == ".csv":
        names = ["spec", "clip", "base", "variant", "sampler.seed", "target"]
        lines = [names, *([str(row.get(name) or "") for name in names] for row in ROWS)]
        quoted = (",".join(f'"{cell}"' if "," in cell else cell for cell in line) for line in lines)
        path.write_text("\n".join(quoted))
    else:
        names = list(dict.fromkeys(name for row in ROWS for name in row))
        columns = {name: [row.get(name) for row in ROWS] for name in names}
        parquet.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_tables_say_the_same_in_each_format(suffix: str, tmp_path: Path) -> None:
    default = tmp_path / "default.grain"
    first, second, third = read_table(write_table(tmp_path / f"jobs{suffix}"), default)
    assert (first.spec, first.base) == (tmp_path / "a.grain", str(tmp_path))
    assert (first.clip, first.sets) == (str(tmp_path / "one.mp4"), ("sampler.seed=3",))
    assert (second.clip, second.variant) == ("s3://b/two.mp4", "pig")
    assert (second.base, second.sets) == (str(tmp_path / "b"), ("target=a, pig",))
    assert (third.spec, third.clip, third.base) == (default, None, str(tmp_path / "clips/7"))


def test_variants_of_a_row(tmp_path: Path) -> None:
    table = tmp_path / "jobs.jsonl"

    def variants(cell: str | None, *asked: str) -> list[str | None]:
        table.write_text(json.dumps({"spec": str(VARIANTS), "variant": cell}))
        sharing = Sharing(variants=asked or None)
        return [job.variant for job in jobs_of_table(read_table(table), sharing)]

    every = [job.variant for job in jobs(VARIANTS)]
    assert variants("all", "left") == variants("all") == variants(None) == every
    assert variants("right, left,right") == ["right", "left"]
    assert variants(None, "left") == ["left"]


def test_a_setting_is_in_the_grid_or_in_the_table(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text(f"spec,sampler.seed\n{VARIANTS},3\n")
    sharing = Sharing(grid={"sampler.seed": ("1", "2")})
    with pytest.raises(GrainError, match=r"`sampler\.seed` is in the grid and in the table"):
        list(jobs_of_table(read_table(tmp_path / "jobs.csv"), sharing))
    with pytest.raises(
        GrainError, match=r"`sampler\.seed` is given by `--set` and in the"
    ) as twice:
        list(jobs_of_table(read_table(tmp_path / "jobs.csv"), Sharing(sets=("sampler.seed =9",))))
    cure = "Leave out `--set sampler.seed =9`, or the column `sampler.seed`."
    assert twice.value.diagnostics[0].cure == cure


def test_a_clip_is_in_one_place(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text(f"spec,clip\n{VARIANTS},a.mp4\n")
    for sharing in (Sharing(sets=("video.path=b",)), Sharing(grid={"video.path": ("b", "c")})):
        with pytest.raises(GrainError) as twice:
            list(jobs_of_table(read_table(tmp_path / "jobs.csv"), sharing))
        assert twice.value.diagnostics[0].cure.endswith("or the column `clip`.")
    (tmp_path / "jobs.csv").write_text(f"spec,clip,video.path\n{VARIANTS},a.mp4,b.mp4\n")
    with pytest.raises(GrainError, match=r"line 2 has values of both `clip` and `video\.path`"):
        list(jobs_of_table(read_table(tmp_path / "jobs.csv"), Sharing()))


def test_a_spec_that_changes_meanwhile_changes_no_job(tmp_path: Path) -> None:
    spec = tmp_path / "edit.grain"
    spec.write_text(ClipFolder(tmp_path).spec_text(settings="sampler { steps 7 }"))
    row = row_of_job(jobs(spec)[0])
    assert row["spec_sha256"] == hashlib.sha256(spec.read_bytes()).hexdigest()
    [job] = jobs(spec)
    spec.write_text(spec.read_text().replace("steps 7", "steps 8"))
    assert job.chosen.sampler.steps == 7
    assert row_of_job(job) == row
    spec.unlink()
    assert job.chosen.sampler.steps == 7  # as on a machine that has no such file


def test_units_are_of_one_clip(tmp_path: Path) -> None:
    seeds = {"sampler.seed": tuple(map(str, range(10)))}
    many = jobs(VARIANTS, EXAMPLES / "instance.grain", grid=seeds)
    failed: list[tuple[BatchJob, Failure]] = []
    units = list(units_of(many, failed))
    assert not failed
    assert [len(unit.jobs) for unit in units] == [MOST, MOST, 8]  # both specs have the same clip
    assert len({unit.session for unit in units}) == 1
    frames = {"video.frames": ("0..1", "0..2")}
    assert len({unit.session for unit in units_of(jobs(VARIANTS, grid=frames), failed)}) == 2


def test_jobs_that_cannot_be_read_are_set_aside(tmp_path: Path) -> None:
    (tmp_path / "bad.grain").write_text("grain 1 vidio")
    table = tmp_path / "jobs.csv"
    table.write_text(
        "spec,variant,sampler.stps\n"
        f"bad.grain,,\nnone.grain,,\n{VARIANTS},pg,\n{VARIANTS},left,3\n{VARIANTS},left,\n"
    )
    failed: list[tuple[BatchJob, Failure]] = []
    units = list(units_of(jobs_of_table(read_table(table), Sharing()), failed))
    assert [len(unit.jobs) for unit in units] == [1]
    assert [failure.code for _, failure in failed] == ["G001", "G311", "G740", "G201"]
    rows = [row_of_failure(job, failure, [failure.reason]) for job, failure in failed]
    at = f"{table}, line 5, column `sampler.stps`"
    places = [f"{tmp_path}/bad.grain:1:9", None, f"{table}, line 4", at]
    assert failed[2][1].cure == "Name one of its variants: `swapped`, `left`, `right`."
    assert [row["place"] for row in rows] == places


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_what_is_wrong_in_a_table_is_placed_there(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "edit.grain").write_text(ClipFolder(tmp_path).spec_text())
    cells = [{"sampler.seed": "NaN"}, {"clip": "gone.mp4"}, {"clip": None, "sampler.stps": "3"}]
    names = ["spec", "clip", "sampler.seed", "sampler.stps"]
    rows = [{"spec": "edit.grain", **row} for row in cells]
    lines = [",".join(names), *(",".join(row.get(name) or "" for name in names) for row in rows)]
    table = tmp_path / f"jobs{suffix}"
    table.write_text("\n".join(lines if suffix == ".csv" else map(json.dumps, rows)))
    made = list(jobs_of_table(read_table(table), Sharing(sets=("attention.self=0.5",))))
    first = 2 if suffix == ".csv" else 1
    columns = ("sampler.seed", "G202"), ("clip", "G301"), ("sampler.stps", "G201")
    for line, (job, (column, code)) in enumerate(zip(made, columns, strict=True), first):
        with pytest.raises(GrainError) as refused:
            prepare(job.whole, Path(job.base), sets=job.sets)
        row = row_of_failure(job, Failure.of(refused.value), [])
        assert (row["code"], row["place"]) == (code, f"{table}, line {line}, column `{column}`")
    [common, *_] = jobs_of_table(read_table(table), Sharing(sets=("sampler.steps=x",)))
    with pytest.raises(GrainError) as refused:
        prepare(common.whole, Path(common.base), sets=common.sets)
    place = row_of_failure(common, Failure.of(refused.value), [])["place"]
    assert place == "--set sampler.steps=x"  # which is of the command line


def test_the_arguments_of_a_job_have_its_clip(tmp_path: Path) -> None:
    row = Row(VARIANTS, str(EXAMPLES), str(tmp_path / "a b.mp4"), "left", ("sampler.seed=3",))
    [job] = jobs_of_table([row], Sharing())
    command, spec, *options = job.arguments
    assert (command, spec, options[:2]) == ("run", str(VARIANTS), ["--variant", "left"])
    sets = [option.removeprefix("--set=") for option in options[2:]]
    same = override(load(VARIANTS).as_variant("left"), sets)
    assert same == job.chosen
    assert same.video.path == row.clip
    [secret] = jobs_of_table([replace(row, clip="sftp://me:geheim@h/a.mp4")], Sharing())
    assert "geheim" not in " ".join(secret.arguments)


def test_the_arguments_of_a_job_have_its_base(tmp_path: Path) -> None:
    def arguments(base: str) -> list[str]:
        [job] = jobs_of_table([Row(VARIANTS, base, None, "left", ())], Sharing())
        return job.arguments[:-2]

    assert arguments(str(EXAMPLES)) == ["run", str(VARIANTS)]
    assert arguments(str(tmp_path)) == ["run", "--stdin", str(tmp_path / VARIANTS.name)]
    assert arguments("s3://studio/clips") == ["run", str(VARIANTS)]  # no option says that


def test_rows_of_failures_say_what_was_asked_for(tmp_path: Path) -> None:
    spec = tmp_path / "edit.grain"
    spec.write_text(ClipFolder(tmp_path).spec_text(video='video "gone.mp4"'))
    target = "a green robot and a yellow bear in mud"
    [job] = jobs(spec, sets=("sampler.seed=7", "sampler.steps=9", f"target={target}"))
    with pytest.raises(GrainError) as refused:
        prepare(job.whole, Path(job.base), sets=job.sets)
    failure = Failure.of(refused.value)
    row = row_of_failure(job, failure, [failure.reason])
    assert (row["seed"], row["steps"], row["target"]) == (7, 9, target)
    assert (row["model"], row["clip"]) == (job.chosen.model, "gone.mp4")
    [line] = [n for n, text in enumerate(spec.read_text().splitlines(), 1) if "gone.mp4" in text]
    assert row["place"] == f"{spec}:{line}:7"
    manifest.check(row)
    [moved] = jobs(spec, sets=("video.path=none.mp4",))
    with pytest.raises(GrainError) as refused:
        prepare(moved.whole, Path(moved.base), sets=moved.sets)
    place = row_of_failure(moved, Failure.of(refused.value), [])["place"]
    assert place == "--set video.path=none.mp4"
    spec.write_text("grain 1")  # which says nothing about the seed
    [bad] = jobs_of_table([Row(spec, str(tmp_path), None, None, ("sampler.seed=7",))], Sharing())
    assert "seed" not in row_of_failure(bad, Failure("G001", "…"), [])


def test_failures_that_are_not_shown_are_counted(tmp_path: Path, grain: Grain) -> None:
    table = tmp_path / "jobs.csv"
    lines = [f"none.grain,{number}" for number in range(23)]
    table.write_text("\n".join(["spec,sampler.seed", *lines]))
    out = tmp_path / "out"
    said = grain("batch", table, "-o", out)  # no job is left to start Ray for
    assert said.code == 1
    assert said.out.count("set aside none-") == 20
    assert "and 3 more: see index.html" in said.out
    status = grain("batch", "status", out)
    assert status.out.count("G311") == 20
    assert "and 3 more: write `--format json`" in status.out
    assert len(grain("batch", "status", out, "--format", "json").json["failed"]) == 23
    assert (out / "index.html").read_text().count("<b>G311</b>") == 23


def test_the_page_may_load_its_own_icon() -> None:
    page = batch_page([], 0)
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    [icon] = re.findall(r'rel="icon" href="([a-z]+:)', page)
    [images] = [part.split() for part in policy.split("; ") if part.startswith("img-src")]
    assert icon in images


def test_where_failures_are_that_are_not_shown(tmp_path: Path) -> None:
    rows = [{**row_of_job(job), "state": "set aside", "code": "G1"} for job in jobs(VARIANTS)]
    many = [{**rows[0], "message": "", "cure": "", "place": None, "target": None, "reasons": []}]
    page = batch_page(many * 5001, 5001)
    assert page.count("<b>G1</b>") == 5000
    assert where_all(5000) == "see index.html"
    assert where_all(5001).startswith("index.html has the first 5,000, ")


def test_the_same_job_runs_once() -> None:
    once, findings = distinct([*jobs(VARIANTS), *jobs(VARIANTS)])
    assert len(once) == 3
    assert [finding.code for finding in findings] == ["G745"]


def test_the_manifest_keeps_the_last_row_of_a_job(tmp_path: Path) -> None:
    [job, *others] = jobs(VARIANTS)
    record = manifest.Manifest(tmp_path)
    record.add(row_of_failure(job, Failure("G505", "NaN"), ["first try"]))
    record.flush()
    assert parquet.read_table(tmp_path / manifest.PARTS).num_rows == 1  # readable meanwhile
    record.add({**row_of_job(job), "state": "done", "seconds_sample": 1.5})
    record.add({**row_of_job(others[0]), "state": "done"})
    record.complete()
    assert [path.name for path in tmp_path.iterdir()] == [manifest.FILE]
    table = parquet.read_table(tmp_path / manifest.FILE)
    assert table.column_names == list(COLUMNS)
    assert table.column("state").to_pylist() == ["done", "done"]
    assert table.column("seconds_sample").to_pylist() == [1.5, None]
    with pytest.raises(ValueError, match="no column colour"):
        record.add({"colour": 1})
    (tmp_path / manifest.FILE).write_bytes(b"no parquet")
    with pytest.raises(GrainError, match="cannot be read"):
        manifest.latest(tmp_path)


def test_a_manifest_is_readable_while_it_is_written(tmp_path: Path) -> None:
    first, second, _ = jobs(VARIANTS)
    record = manifest.Manifest(tmp_path)
    times = {"seconds_sample": 1.5, "warnings": ["G111"], "frames": 16, "inversion_cached": True}
    record.add({**row_of_job(first), "state": "done", **times})
    record.flush()
    record.add({**row_of_job(second), "state": "done"})
    record.flush()
    place = tmp_path / manifest.PARTS
    (place / ".00000000000000000009.parquet.12ab34cd.part").write_bytes(
        b"PAR1 half"
    )  # being written
    folder = dataset.dataset(place, format="parquet")  # as pandas opens it
    assert len(folder.files) == 2
    table = folder.to_table()
    assert table.schema.equals(manifest.SCHEMA)
    assert [job.digest for job in (first, second)] == table.column("job").to_pylist()
    assert table.column("seconds_sample").to_pylist() == [1.5, None]
    for field in table.schema:  # what pandas and DuckDB have, without extensions
        simple = field.type.value_type if types.is_list(field.type) else field.type
        kinds = (types.is_string, types.is_int64, types.is_float64, types.is_boolean)
        assert any(kind(simple) for kind in (*kinds, types.is_timestamp)), field


def test_a_newer_row_comes_last_whatever_the_clock_says(tmp_path: Path) -> None:
    [job, *_] = jobs(VARIANTS)
    record = manifest.Manifest(tmp_path)
    record.add(row_of_failure(job, Failure("G505", "NaN"), ["first try"]))
    record.flush()
    [part] = (tmp_path / manifest.PARTS).iterdir()
    later = time.time_ns() + 3600 * 10**9  # of a machine whose clock is fast, and that was killed
    part.rename(part.with_name(f"{later:020}.parquet"))
    resumed = manifest.Manifest(tmp_path)
    resumed.add({**row_of_job(job), "state": "done"})
    resumed.flush()
    assert manifest.states(tmp_path) == {job.digest: "done"}
    resumed.complete()
    assert manifest.states(tmp_path) == {job.digest: "done"}


def test_a_manifest_of_an_earlier_version_is_taken_over(tmp_path: Path) -> None:
    first, second, _ = jobs(VARIANTS)
    old = {"job": [first.digest], "state": ["done"], "steps": [7], "gone": [1]}
    parquet.write_table(pa.table(old), tmp_path / manifest.FILE)
    record = manifest.Manifest(tmp_path)
    record.add({**row_of_job(second), "state": "done"})
    record.complete()
    table = parquet.read_table(tmp_path / manifest.FILE)
    assert table.schema.equals(manifest.SCHEMA)
    assert table.column("steps").to_pylist() == [7, None]
    parquet.write_table(pa.table({"colour": [1]}), tmp_path / manifest.FILE)
    with pytest.raises(GrainError, match="cannot be read"):
        manifest.states(tmp_path)


def test_a_manifest_that_another_program_saved_is_resumed(tmp_path: Path) -> None:
    first, second, third = jobs(VARIANTS)
    record = manifest.Manifest(tmp_path)
    times = {"seconds_sample": 1.5, "warnings": ["G111"], "frames": 16, "inversion_cached": True}
    record.add({**row_of_job(first), "state": "done", **times})
    record.add(row_of_failure(second, Failure("G505", "NaN"), ["first try"]))
    record.complete()
    whole = tmp_path / manifest.FILE
    before = parquet.read_table(whole)
    other = {  # as pandas 3 saves it
        pa.string(): pa.large_string(),
        pa.list_(pa.string()): pa.list_(pa.field("element", pa.large_string())),
        pa.int64(): pa.float64(),  # it has empty cells
        pa.timestamp("ms", "UTC"): pa.timestamp("us", "UTC"),
    }
    kinds = [(field.name, other.get(field.type, field.type)) for field in before.schema]
    parquet.write_table(before.cast(pa.schema(kinds)), whole)
    assert manifest.states(tmp_path) == {first.digest: "done", second.digest: "set aside"}
    resumed = manifest.Manifest(tmp_path)
    resumed.add({**row_of_job(third), "state": "done"})
    resumed.complete()
    table = parquet.read_table(whole)
    assert table.schema.equals(manifest.SCHEMA)
    assert table.slice(0, 2).equals(before)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"job": ["a", "b"]}, "it has no column `state`"),
        ({"job": ["a", None], "state": ["done", "done"]}, "column `job` has empty cells"),
        ({"job": ["a", "b"], "state": pa.nulls(2)}, "column `state`: an empty cell; it is `done`"),
        ({"job": ["a"], "state": ["ready"]}, "column `state`: invalid value `ready`"),
        ({"job": ["a"], "state": ["done"], "steps": ["two"]}, "column `steps`: Failed to parse"),
        ({"job": ["a"], "state": ["done"], "sets": ["['seed=1']"]}, "column `sets`: "),
    ],
)
def test_what_is_not_a_manifest_is_refused(
    columns: dict[str, Any], said: str, tmp_path: Path, grain: Grain
) -> None:
    whole = tmp_path / manifest.FILE
    parquet.write_table(pa.table(columns), whole)
    write_progress(tmp_path, {"jobs": 2, "kept": 2, "ended": True})
    shown = grain("batch", "status", tmp_path)
    assert (shown.code, "error[G747]" in shown.err) == (1, True), shown.err
    told = f"the manifest {whole} cannot be read: {said}"
    assert told in " ".join(shown.err.split())
    with pytest.raises(GrainError, match="cannot be read") as refused:
        manifest.Manifest(tmp_path)  # before any job runs
    assert "Delete that file" in refused.value.diagnostics[0].cure


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ([], "batch.json is not a JSON object"),
        ({}, "batch.json: it has no `jobs`"),
        ({"jobs": None}, "invalid value `null` for `jobs`: a whole number from 0"),
        ({"jobs": True}, "invalid value `true` for `jobs`"),
        ({"jobs": 2, "kept": -1}, "invalid value `-1` for `kept`"),
        ({"jobs": 2, "started": "a"}, 'invalid value `"a"` for `started`: seconds since 1970'),
        ({"jobs": 2, "started": 1e18}, "invalid value `1e+18` for `started`"),
        ({"jobs": 2, "stages": 7}, "invalid value `7` for `stages`: an object with a whole number"),
        ({"jobs": 2, "stages": {"done": "two"}}, "for `stages`"),
        ({"jobs": 2, "workers": 3}, "invalid value `3` for `workers`: a list"),
        ({"jobs": 2, "longest": {"stage": "sampling"}}, "for `longest`: an object with `stage`"),
    ],
)
def test_what_is_not_the_progress_of_a_batch_is_refused(
    facts: Any, said: str, tmp_path: Path, grain: Grain
) -> None:
    (tmp_path / "batch.json").write_text(json.dumps(facts))
    shown = grain("batch", "status", tmp_path)
    assert shown.code == 1
    assert "error[G747]" in shown.err
    assert said in " ".join(shown.err.split())


def test_when_a_job_of_an_earlier_version_failed_is_not_known(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"job": ["a"], "state": ["set aside"]}), tmp_path / manifest.FILE)
    write_progress(tmp_path, {"jobs": 1, "started": time.time()})
    assert status_of(tmp_path)["failed"] == []


def test_other_folders_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("…")
    with pytest.raises(GrainError, match=r"thesis\.txt") as refused, claimed_folder(tmp_path):
        pass
    assert refused.value.diagnostics[0].code == "G742"


def test_status_and_page(tmp_path: Path, grain: Grain) -> None:
    first, second, _ = jobs(VARIANTS)
    record = manifest.Manifest(tmp_path)
    record.add({**row_of_job(first), "state": "done", "seconds_sample": 1.5, "seconds_edit": 2.0})
    failure = Failure("G505", "NaN in <layer>", "Use float32.", position="8:1")
    record.add(row_of_failure(second, failure, ["G506: later", "G505: NaN"]))
    record.flush()
    longest = {"stage": "sampling", "job": "third", "host": "gpu3", "seconds": 200}
    stages = {"sampling": 1, "done": 1, "set aside": 1}
    told = {"jobs": 4, "kept": 1, "workers": [{"pid": 1}], "longest": longest}
    write_progress(tmp_path, {**told, "stages": stages})
    facts = status_of(tmp_path)
    assert (facts["state"], facts["done"], facts["set_aside"], facts["left"]) == (
        "running",
        2,
        1,
        1,
    )
    assert facts["seconds"]["sample"] == {"jobs": 1, "mean_seconds": 1.5}
    said = grain("batch", "status", tmp_path)
    assert said.code == 0
    assert "running: 2 of 4 jobs are done, 1 set aside, 1 left" in said.out
    assert f"set aside {second.name}: {VARIANTS}:8:1: G505: NaN in <layer>" in said.out
    assert "longest at work: sampling third on gpu3 for 3 min 20 s" in said.out
    write_progress(tmp_path, {**told, "stages": stages, "started": time.time() + 9})
    assert not status_of(tmp_path)["failed"]  # that failure is of an earlier command
    page = batch_page(list(manifest.latest(tmp_path).values()), 3, others=2)
    assert "1 of 3 jobs are done" in page
    assert "jobs left: 1" in page
    assert "in the manifest only: 2" in page
    assert page.index(second.name) < page.index(first.name)  # what failed comes first
    assert "<p><b>G505</b>: NaN in &lt;layer&gt;</p>" in page
    assert f"<p>{VARIANTS}:8:1</p>\n<p>Use float32.</p>" in page
    assert f'<p class="facts">{VARIANTS} · ' in page
    assert f'src="runs/{first.name}/overview.png"' in page
    assert grain("batch", "status", tmp_path / "none").code == 1


def test_command_lines_that_are_wrong(grain: Grain, tmp_path: Path) -> None:
    assert grain("batch", VARIANTS, "--grid", "sampler.seed").code == 2
    assert grain("batch", VARIANTS, "--grid", "sampler.seed=1,,2").code == 2
    twice = ("--grid", "sampler.seed=1", "--grid", "sampler.seed=2")
    assert "several grids of `sampler.seed`" in grain("batch", VARIANTS, *twice).err
    assert grain("batch", VARIANTS, "--object-store", "much").code == 2
    assert "Ray requires 79MB" in grain("batch", VARIANTS, "--object-store", "1").err
    both = grain("batch", VARIANTS, "--grid", "sampler.seed=1,2", "--set", "sampler.seed=9")
    assert both.code == 2
    assert "`sampler.seed` is also given by `--set sampler.seed=9`" in " ".join(both.err.split())
    for local in (("--cpus", "2"), ("--object-store", "1GB")):
        said = grain("batch", VARIANTS, "--address", "127.0.0.1:1", *local)
        assert said.code == 2
        assert f"`{local[0]}` is for a local cluster" in said.err
    assert "no variant `pg`" in grain("batch", VARIANTS, "--variant", "left,pg").err
    (tmp_path / "jobs.csv").write_text("spec\n")
    assert "there is no job" in grain("batch", tmp_path / "jobs.csv").err


def test_the_live_table_fits_a_terminal() -> None:
    stages = dict.fromkeys(("preparing", "waiting", "inverting", "sampling", "saving"), 1000)
    stages |= {"done": 10000, "set aside": 1000}
    facts = {"kept": 10000, "stages": stages, "workers": [{}] * 100}
    console = Console(width=80, file=io.StringIO())
    console.print(_table(facts, 50000, 3600.0))
    assert isinstance(console.file, io.StringIO)
    titles, numbers, *more = console.file.getvalue().splitlines()
    assert (
        titles.split()
        == "jobs kept prepare wait invert sample save done set aside workers left".split()
    )
    assert numbers.split()[:3] == ["50000", "10000", "1000"]
    assert more == []


def test_help_says_what_the_options_do(grain: Grain) -> None:
    said = " ".join(grain("batch", "run", "--help").out.split())
    assert "Neither read nor write the cache; the jobs of this batch still share inversions" in said
    assert f"A stage prepares or inverts up to {MOST} jobs of a clip together" in said
