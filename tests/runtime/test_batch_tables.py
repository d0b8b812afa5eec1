"""Tables of jobs: what is read, what is refused, and that no row is lost on the way."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from clips import ClipFolder
from command import Grain

pytest.importorskip("pyarrow")

import pyarrow as pa
from pyarrow import parquet

from grainspec import GrainError
from grainspec_runtime.batch.asked import jobs_asked_for
from grainspec_runtime.batch.jobs import Sharing
from grainspec_runtime.batch.run import distinct
from grainspec_runtime.batch.table import Row, _absolute, read_table


def refused(path: Path) -> tuple[str, str]:
    """The message and the cure of a table's error."""
    with pytest.raises(GrainError) as error:
        list(read_table(path, path.with_name("edit.grain")))
    [finding] = error.value.diagnostics
    assert finding.code == "G740"
    return finding.message, finding.cure


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text", "said", "cure"),
    [
        ("jobs.txt", "spec\na.grain\n", "does not end in", "Save it as `.csv`"),
        ("jobs.csv", "Spec,Clip\na.grain,b\n", "`a.grain` in the column `Spec`", "Write `spec` in"),
        ("jobs.jsonl", "[1]\n", "line 1 is not a JSON object", "Write an object a line"),
        (
            "jobs.jsonl",
            '{"spec": "a.grain"}\n\n{',
            "cannot be read: line 3: Expecting property name",
            "Write an object a line",
        ),
        ("jobs.jsonl", '{"spec":' + "[" * 9_999, "line 1: it is nested too deeply", "an object"),
        ("jobs.jsonl", '{"a": 1}\n"\xff"'.encode("latin-1"), "line 2 is not UTF-8", "as UTF-8"),
        ("jobs.parquet", "no parquet", "cannot be read", "Write it again"),
        ("jobs.csv", b"\xff\xfe\xfa", "is not UTF-8 text", "Save it as UTF-8"),
        ("jobs.csv", "spec,clip\na.grain,".encode("utf-16-le"), "is not UTF-8", "Save it as UTF-8"),
        ("jobs.csv", "spec,clip\na.grain,mädchen".encode("latin-1"), "not UTF-8", "Save it as UTF"),
        (
            "jobs.csv",
            "spec,target\na.grain,a pig, in mud\n",
            "line 2 has more cells than the header has columns: `in mud`",
            "in quotes",
        ),
        (
            "jobs.csv",
            "spec,target, target\na.grain,a,b\n",
            "several columns are named `target`",
            "Leave all but one",
        ),
        ("jobs.csv", "spec,\na.grain,7\n", "line 2 has `7` in a column without a", "Name the col"),
        ("jobs.jsonl", '{"target": ["a"]}', "`target` has ['a'], which is not one", "each cell"),
        ("jobs.csv", "clip;spec\na.mp4;a.grain\n", "header separates columns by `;`", "by commas"),
        ("jobs.csv", "clip\tspec\na.mp4\ta.grain\n", "separates columns by tabs", "by commas"),
        ("jobs.csv", "sep=;\nclip;spec\na.mp4;a.grain\n", "columns by `;`", "by commas"),
        (
            "jobs.jsonl",
            '{"a": 1}\n{"sampler.seed": 1, " sampler.seed": 2}\n',
            "line 2: it has several values of `sampler.seed`",
            "Write an object",
        ),
    ],
)
def test_tables_that_cannot_be_read(
    name: str, text: str | bytes, said: str, cure: str, tmp_path: Path
) -> None:
    message, told = refused(written(tmp_path, name, text))
    assert said in message
    assert cure in told


def test_a_row_without_a_spec(tmp_path: Path) -> None:
    path = written(tmp_path, "jobs.csv", "clip\n\na.mp4\n")
    with pytest.raises(GrainError, match=r"line 3 of .*jobs\.csv names no spec"):
        list(read_table(path))


@pytest.mark.parametrize(
    "rows",
    [
        '2,"a green robot\n3,\n4,\n',  # to the end of the table
        '2,"a green robot\n3,\n4,"a bear"\n',  # to the next quote
        '2,"a green robot\n' + "3,a bear\n" * 20_000,  # to the limit of a cell
        '2,"a green" robot\n',
    ],
)
def test_a_quote_that_is_not_closed_swallows_no_row(rows: str, tmp_path: Path) -> None:
    path = written(tmp_path, "jobs.csv", 'sampler.seed,target\n1,"two\nlines"\n' + rows)
    message, cure = refused(path)
    assert "line 4: a quote is opened there, and not closed" in message
    assert cure.startswith("Close the quote")


def test_quotes_that_are_closed(tmp_path: Path) -> None:
    path = written(tmp_path, "jobs.csv", 'spec,target\na.grain,"a ""pig"", in mud"\nb.grain,5"\n')
    assert [row.sets for row in read_table(path)] == [('target=a "pig", in mud',), ('target=5"',)]


def test_a_table_that_does_not_exist(tmp_path: Path, grain: Grain) -> None:
    message, cure = refused(tmp_path / "none.csv")
    assert message.endswith("none.csv does not exist")
    assert cure.startswith("Check its path")
    (tmp_path / "folder.csv").mkdir()
    message, cure = refused(tmp_path / "folder.csv")
    assert "it is a folder" in message
    assert "file" in cure


def test_rows_without_any_value_are_skipped(tmp_path: Path) -> None:
    default = tmp_path / "edit.grain"
    rows = [{"clip": "a.mp4", "sampler.seed": 1}, {"clip": None, "sampler.seed": None}]
    tables = [
        written(tmp_path, "jobs.csv", "clip,sampler.seed\na.mp4,1\n,\n  , \n\n"),
        written(tmp_path, "jobs.jsonl", "\n".join([*map(json.dumps, rows), "{}", ""])),
        tmp_path / "jobs.parquet",
    ]
    parquet.write_table(pa.Table.from_pylist(rows), tables[2])
    right = Row(default, str(tmp_path), str(tmp_path / "a.mp4"), None, ("sampler.seed=1",))
    for table in tables:
        assert list(read_table(table, default)) == [right], table


def test_empty_cells_at_the_end_of_a_row_are_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "jobs.csv", "spec,target,,\na.grain,,,\nb.grain\n")
    assert [row.sets for row in read_table(path)] == [(), ()]


def test_bytes_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "jobs.parquet"
    parquet.write_table(pa.table({"target": [b"a pig"]}), path)
    assert "row 1: `target` has b'a pig'" in refused(path)[0]


def test_a_spec_beside_a_table_is_for_rows_without_one(tmp_path: Path) -> None:
    text = ClipFolder(tmp_path).spec_text()
    for name in ("a", "b", "c"):
        written(tmp_path, f"{name}.grain", text)
    a, b, c = (tmp_path / f"{name}.grain" for name in "abc")
    table = written(tmp_path, "jobs.csv", "spec,sampler.seed\na.grain,1\n,2\n")
    jobs, findings = jobs_asked_for([b, table, c], Sharing())
    made = [(job.file, job.sets) for job in jobs]
    seeds = ("sampler.seed=1",), ("sampler.seed=2",)
    assert made == [("a.grain", seeds[0]), ("b.grain", seeds[1]), ("c.grain", seeds[1])]
    assert findings == []
    table = written(tmp_path, "jobs.csv", "spec,sampler.seed\na.grain,1\n,\n")
    jobs, findings = jobs_asked_for([table, b], Sharing())
    assert [job.file for job in jobs] == ["a.grain"]
    assert [finding.code for finding in findings] == ["G766"]
    assert "no job is made of" in findings[0].message
    assert not findings[0].is_error
    twice = [written(tmp_path, "d e.grain", text), a, a]
    [finding] = jobs_asked_for([table, *twice], Sharing())[1]
    command = finding.cure.split("`")[-2]
    assert shlex.split(command) == ["grain", "batch", *map(str, twice[:2])]
    assert [job.file for job in jobs_asked_for([a, b], Sharing())[0]] == ["a.grain", "b.grain"]


def test_a_file_is_the_same_however_its_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "clips").mkdir()
    (tmp_path / "night").mkdir()
    clip, spec = tmp_path / "clips/a.mp4", tmp_path / "edit.grain"
    (tmp_path / "clips/link.mp4").symlink_to(clip)
    spec.write_text(ClipFolder(tmp_path).spec_text())
    clips = [str(clip), "../clips/a.mp4", f"file://{clip}", "~/clips/./a.mp4"]
    lines = [f"{clip},{spec},{tmp_path}" for clip in clips]
    lines += [f"{clip},~/edit.grain,..", f"{clip},../night/../edit.grain,~/night/.."]
    table = written(tmp_path / "night", "jobs.csv", "\n".join(["clip,spec,base", *lines]))
    jobs, _ = jobs_asked_for([table], Sharing())
    assert {(job.clip, job.spec, job.base) for job in jobs} == {(str(clip), spec, str(tmp_path))}
    assert len(distinct(jobs)[0]) == 1
    [link] = read_table(written(tmp_path, "jobs.csv", "clip\nclips/link.mp4\n"), spec)
    assert link.clip == str(tmp_path / "clips/link.mp4")
    (tmp_path / "night/away").symlink_to(tmp_path / "clips")
    written(tmp_path, "jobs.csv", "clip\nnight/away/../x.mp4\nnight/../../../../../../../x.mp4\n")
    away, root = read_table(tmp_path / "jobs.csv", spec)
    assert away.clip == str(tmp_path / "night/away/../x.mp4")  # of another folder than night
    assert root.clip == "/x.mp4"
    both = [spec, tmp_path / "night/../edit.grain"]
    assert len(distinct(jobs_asked_for(both, Sharing())[0])[0]) == 1


def test_the_home_folder_in_a_table_behind_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/a")
    assert _absolute("s3://studio/night", "~/a.mp4") == "/home/a/a.mp4"
    assert _absolute("s3://studio/night", "../a.mp4") == "s3://studio/a.mp4"


def test_a_seed_that_a_float_cannot_hold_is_refused(tmp_path: Path) -> None:
    for number in ("9007199254740993.0", "-1e16"):
        text = f'{{"sampler.seed": {number}}}'
        message, cure = refused(written(tmp_path, "jobs.jsonl", text))
        assert "line 1: `sampler.seed` has a floating-point number from 2^53, " in message
        assert "without `.0`" in cure
    parquet.write_table(pa.table({"sampler.seed": [None, 2.0**53]}), tmp_path / "jobs.parquet")
    assert "row 2: `sampler.seed` has" in refused(tmp_path / "jobs.parquet")[0]
    rows = '{"sampler.seed": 9007199254740993}\n{"sampler.seed": 9007199254740991.0}\n'
    exact = read_table(written(tmp_path, "jobs.jsonl", rows), tmp_path / "edit.grain")
    seeds = [f"sampler.seed={2**53 + 1}", f"sampler.seed={2**53 - 1}"]
    assert [row.sets for row in exact] == [(seed,) for seed in seeds]


def test_other_tables_are_no_specs(tmp_path: Path, grain: Grain) -> None:
    for name in ("jobs.tsv", "jobs.XLSX"):
        said = grain("batch", written(tmp_path, name, "spec\tclip\n"), "-o", tmp_path / "out")
        assert said.code == 1
        assert "is not a table of jobs: its name does not end in" in " ".join(said.err.split())
    assert not (tmp_path / "out").exists()


def test_an_option_that_no_job_can_have_is_refused_once(tmp_path: Path) -> None:
    text = ClipFolder(tmp_path).spec_text()
    spec = written(tmp_path, "a.grain", text)
    other = written(tmp_path, "b.grain", text.replace("left", "west"))
    west = jobs_asked_for([spec, other], Sharing(grid={"west.weight": ("1", "2")}))[0]
    assert len(west) == 4  # of which two are set aside
    for sharing, setting, option in (
        (Sharing(grid={"sampler.sed": ("1", "2")}), "sampler.sed=1", "--grid"),
        (Sharing(grid={"sampler.seed": ("1", "two")}), "sampler.seed=two", "--grid"),
        (Sharing(sets=("sampler.sed=3",)), "sampler.sed=3", "--set"),
    ):
        with pytest.raises(GrainError) as refused:
            jobs_asked_for([spec, other], sharing)
        assert (refused.value.source, refused.value.path) == (setting, option)
    written(tmp_path, "c.grain", "grain 1 vidio")
    bad = written(tmp_path, "jobs.csv", "spec\nc.grain\n")
    assert len(jobs_asked_for([bad], Sharing(sets=("sampler.sed=3",)))[0]) == 1
