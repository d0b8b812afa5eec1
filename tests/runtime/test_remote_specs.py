"""Specs and tables behind URLs: what they name is fetched, and lies as it lies in the store."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
from clips import ClipFolder
from command import Grain

pytest.importorskip("fsspec")

from faulty_store import faulty_proxy, serving
from fsspec.implementations.local import LocalFileSystem

from grainspec import GrainError
from grainspec.cache_folder import cache_folder, fetched_files
from grainspec.diagnostics import fail
from grainspec.remote import store as stores
from grainspec.remote.files import get_bytes, put_bytes, put_file
from grainspec.remote.folders import listed
from grainspec.remote.spec_files import fetched_spec
from grainspec_runtime.batch.jobs import BatchJob, Sharing, jobs_of_specs, jobs_of_table
from grainspec_runtime.batch.places import Places
from grainspec_runtime.batch.rows import row_of_job
from grainspec_runtime.remote import record


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "FIRST_PAUSE", 0.001)


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store with a clip and masks in `shared` and a spec in `specs`, and its URL."""
    root = tmp_path / "clips"
    root.mkdir()
    clip = ClipFolder(root)
    url = f"memory://{tmp_path.name}"
    for path in root.rglob("*.png"):
        put_file(path, f"{url}/shared/{path.relative_to(root).as_posix()}")
    put_bytes(b"x", f"{url}/shared/other.mp4")
    put_bytes(text(clip).encode(), f"{url}/specs/edit.grain")
    return url


def text(clip: ClipFolder, **replaced: str) -> str:
    regions = 'region left = masks("../shared/left/*.png") region right = masks("../shared/right")'
    parts = {"video": 'video "../shared/clip" { size 64x48 }', "regions": regions, **replaced}
    return clip.spec_text(**parts)


def put_text(url: str, **replaced: str) -> str:
    words = 'source "a man and a bear" target "a green robot and a yellow bear"'
    parts = {
        "video": 'video "../shared/clip" { size 64x48 }',
        "regions": 'region left = masks("../shared/left")',
        **replaced,
    }
    put_bytes(
        f'grain 1 {parts["video"]} {words} {parts["regions"]} edit left -> "green robot"'.encode(),
        f"{url}/specs/other.grain",
    )
    return f"{url}/specs/other.grain"


def test_what_a_spec_names_is_fetched_and_nothing_else(store: str, tmp_path: Path) -> None:
    spec = fetched_spec(f"{store}/specs/edit.grain", tmp_path / "fetched")
    root = spec.parent.parent
    names = {path.relative_to(root).parent.as_posix() for path in root.rglob("*.*")}
    assert names == {"specs", "shared/clip", "shared/left", "shared/right"}
    assert fetched_spec(f"{store}/specs/edit.grain", tmp_path / "fetched") == spec
    put_bytes(b"another", f"{store}/shared/left/00000.png")
    again = fetched_spec(f"{store}/specs/edit.grain", tmp_path / "fetched")
    assert again != spec  # another version, beside the old one
    assert (again.parent.parent / "shared/left/00000.png").read_bytes() == b"another"
    assert (spec.parent.parent / "shared/left/00000.png").read_bytes() != b"another"


def test_file_urls_are_paths_of_this_machine(tmp_path: Path, grain: Grain) -> None:
    from grainspec_runtime.batch.table import read_table

    pytest.importorskip("ray")
    (tmp_path / "specs").mkdir()
    spec = tmp_path / "specs" / "edit.grain"
    spec.write_text(ClipFolder(tmp_path / "specs").spec_text())
    assert grain("check", f"file://{spec}").code == 0
    assert grain("plan", f"file://{spec}", "-o", tmp_path / "plan").code == 0
    table = tmp_path / "jobs.csv"
    urls = [f"file://{spec}", f"file://{tmp_path}/clip.mp4", f"FILE://localhost{tmp_path}"]
    table.write_text("spec,clip,base\n" + ",".join(urls) + "\n")
    [row] = read_table(table)
    assert (row.spec, row.clip, row.base) == (spec, f"{tmp_path}/clip.mp4", f"{tmp_path}")
    table.write_text("spec\nnone.grain\n")
    said = grain("batch", f"file://{table}", "-o", f"file://{tmp_path}/out")
    assert "none.grain" in said.out
    assert f"wrote {tmp_path}/out" in said.out
    assert grain("batch", "status", f"file://{tmp_path}/out").code == 0
    assert not (cache_folder() / "fetched").exists()


def test_a_spec_behind_a_url_is_checked(store: str, grain: Grain, tmp_path: Path) -> None:
    url = f"{store}/specs/edit.grain"
    assert f"{url}: fine" in grain("check", url).out
    found = grain("check", url, "--format", "json").json
    assert found["files"][0]["path"] == url
    bad = put_text(store, regions="regio left = all")
    said = grain("check", bad)
    assert said.code == 1
    assert f"{bad}:1" in said.err
    assert grain("check", url, "--fix").code == 2
    assert grain("check", put_text(store, video='video "gone.mp4"'), "--no-files").code == 0


@pytest.mark.parametrize(
    ("video", "code", "said"),
    [
        ("../shared/gone.mp4", "G746", "gone.mp4 cannot be read: there is no such file"),
        ("../../../a.mp4", "G760", "leads out of memory://"),
        (
            "https://me:geheim@host/a.mp4",
            "G760",
            "https://host/a.mp4, which is not in its own store",
        ),
        ("file:///etc/passwd", "G760", "file:///etc/passwd, which is not in its own store"),
    ],
)
def test_what_cannot_be_fetched(store: str, video: str, code: str, said: str, grain: Grain) -> None:
    url = put_text(store, video=f'video "{video}"')
    found = grain("check", url, "--format", "json")
    assert found.codes == [code]
    assert found.json["files"][0]["diagnostics"][0]["line"] == 1
    assert said in found.out
    assert "geheim" not in found.out
    assert grain("run", url).code == 1
    assert grain("check", f"{store}/specs/none.grain", "--format", "json").codes == ["G746"]


def test_a_url_in_a_spec_behind_a_url(store: str, grain: Grain) -> None:
    url = put_text(store, video=f'video "{store}/shared/clip" {{ size 64x48 }}')
    assert grain("check", url, "--format", "json").codes == []


def test_a_plan_and_a_run_of_a_spec_behind_a_url(
    store: str, grain: Grain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = f"{store}/specs/edit.grain"
    assert grain("plan", url, "--diff", url, "--format", "json").json["differences"] == []
    said = grain("run", url, "--set", "sampler.steps=1", "--device", "cpu")
    assert said.code == 0, said.err
    manifest = json.loads((tmp_path / "runs/edit/run.json").read_text())
    assert manifest["arguments"][1] == url
    assert (tmp_path / "runs/edit/spec.grain").is_file()
    assert grain("run", url, "--stdin").code == 2
    assert grain("run", "--again", url).code == 2


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Any]:
    pytest.importorskip("aiohttp")
    folder = tmp_path / "web"
    folder.mkdir()
    ClipFolder(folder)
    (folder / "edit.grain").write_text(
        'grain 1 video "clip" { size 64x48 } source "a man" target "a robot"\n'
        'region left = masks("left") edit left -> "robot"'
    )

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    handler: Any = partial(Quiet, directory=str(folder))
    with (
        serving(handler) as server,
        faulty_proxy("127.0.0.1", server.server_port, lambda method, path: True) as proxy,
    ):
        yield proxy


def test_a_spec_on_the_web_with_faults(web: Any, grain: Grain) -> None:
    web.faults.extend(["503", "cut", "503"])
    url = f"{web.endpoint}/edit.grain?signature=geheim"
    said = grain("check", url, "--format", "json")
    assert said.codes == []
    assert "geheim" not in said.out + said.err
    assert web.made == ["503", "cut", "503"]


# --- batches --------------------------------------------------------------------------------------


def jobs(*specs: str | Path) -> list[BatchJob]:
    return list(jobs_of_specs(specs, Sharing()))


def test_jobs_of_specs_behind_urls(store: str, tmp_path: Path) -> None:
    url = f"{store}/specs/edit.grain"
    [job] = jobs(url)
    assert (job.spec, job.base, job.file) == (url, f"{store}/specs", "edit.grain")
    assert job.name.startswith("edit-")
    assert job.content.sha256 == hashlib.sha256(get_bytes(url) or b"").hexdigest()
    [same] = jobs(url)
    assert same == job
    local = Places(str(tmp_path / "out"), tmp_path / "fetched").fetched(job)
    assert (Path(local.base) / "../shared/clip/00000.png").is_file()
    assert row_of_job(job)["spec"] == url
    assert row_of_job(job)["spec_sha256"] == job.content.sha256


def test_a_spec_behind_a_url_is_read_once(store: str) -> None:
    url = f"{store}/specs/edit.grain"
    sharing = Sharing(grid={"sampler.steps": ("1", "2")})
    [first] = jobs(url)
    many = jobs_of_specs([url, url], sharing)
    assert next(many).chosen.sampler.steps == 1
    put_bytes(b"regio", url)
    assert {job.content for job in many} == {first.content}
    assert first.chosen == pickle.loads(pickle.dumps(first)).chosen  # as on another machine
    with pytest.raises(GrainError, match=r"edit\.grain"):
        jobs(url)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_tables_behind_urls(store: str, suffix: str, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    from grainspec_runtime.batch.table import read_table

    rows = [
        {"spec": "specs/edit.grain", "clip": "shared/clip", "sampler.seed": "1"},
        {"spec": "specs/none.grain", "clip": "sftp://me:geheim@host/a.mp4", "sampler.seed": ""},
    ]
    file = tmp_path / f"night{suffix}"
    if suffix == ".csv":
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
        file.write_text("\n".join(lines))
    elif suffix == ".jsonl":
        file.write_text("\n".join(map(json.dumps, rows)))
    else:
        parquet.write_table(pa.Table.from_pylist(rows), file)
    url = f"{store}/night{suffix}"
    put_file(file, url)
    first, second = read_table(url)
    assert (first.spec, first.base) == (f"{store}/specs/edit.grain", f"{store}/specs")
    assert (first.clip, first.sets) == (f"{store}/shared/clip", ("sampler.seed=1",))
    made = list(jobs_of_table([first, second], Sharing()))
    found = [job.content.unread and job.content.unread.code for job in made]
    assert found == [None, "G746"]
    assert made[1].name.startswith("none-a-")
    assert "geheim" not in json.dumps(row_of_job(made[1]))
    with pytest.raises(GrainError, match="none.grain cannot be read"):
        _ = made[1].whole


def test_a_signature_is_in_no_name(store: str, tmp_path: Path) -> None:
    table = tmp_path / "night.csv"
    table.write_text(f"spec,clip\n{store}/specs/edit.grain,https://host/a.mp4?sig=geheim.x\n")
    from grainspec_runtime.batch.table import read_table

    [job] = jobs_of_table(read_table(table), Sharing())
    assert "geheim" not in job.name + json.dumps(row_of_job(job)) + " ".join(job.arguments)
    assert row_of_job(job)["clip"] == "https://host/a.mp4?…"


def test_copies_are_in_the_cache_folder(store: str, grain: Grain) -> None:
    assert grain("check", f"{store}/specs/edit.grain").code == 0
    assert list(fetched_files().glob("*/specs/edit.grain"))


def test_a_url_in_a_spec_of_this_machine(grain: Grain, tmp_path: Path) -> None:
    (tmp_path / "edit.grain").write_text(
        'grain 1 video "s3://studio/a.mp4" source "a man" target "a robot"\n'
        'region left = all edit left -> "robot"'
    )
    said = grain("check", tmp_path / "edit.grain")
    assert "G301" in said.err
    assert "Put the spec into the same store" in said.err


# --- results of a run -----------------------------------------------------------------------------


def test_a_run_is_sent_to_a_url(
    store: str, grain: Grain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url, out = f"{store}/specs/edit.grain", f"local://{tmp_path}/out/edit"
    steps = ("--set", "sampler.steps=1", "--device", "cpu")
    put_bytes(b"{}", f"{out}/study.json")  # of an earlier run
    put_bytes(b"{}", f"{out}/pig/run.json")  # of a variant
    said = grain("run", url, "-o", out, *steps)
    assert said.code == 0, said.err
    assert f"wrote {out}: report.html" in said.out
    names = {file.name for file in listed(out)}
    assert {"run.json", "edited.mkv", "report.html", "spec.grain", "pig/run.json"} <= names
    assert "study.json" not in names
    manifest = json.loads(get_bytes(f"{out}/run.json") or b"")
    assert manifest["arguments"][1:4] == [url, "-o", out]
    assert not (tmp_path / "runs").exists()
    assert not list((cache_folder() / "results").glob("*"))
    put_bytes(b"mine", f"local://{tmp_path}/mine/clip.mp4")
    refused = grain("run", url, "-o", f"local://{tmp_path}/mine", *steps, "--format", "json")
    assert "G310" in refused.out + refused.err
    web = grain("run", url, "-o", "https://host/out?key=geheim", *steps)
    assert (web.code, "G758" in web.err, "geheim" in web.err) == (1, True, False)
    for command in ("run", "batch"):  # the memory of a process that ends with the command
        lost = grain(command, url, "-o", f"{store}/out")
        assert (lost.code, "G758" in lost.err, "would be lost" in lost.err) == (1, True, True)
    monkeypatch.setenv("GRAINSPEC_CACHE", f"{store}/cache")  # which no other machine would see
    assert "G758" in grain("batch", url).err


def test_results_that_could_not_be_sent_are_sent_by_the_same_command(
    store: str, grain: Grain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, out = f"{store}/specs/edit.grain", f"local://{tmp_path}/out/edit"
    command = ("run", url, "-o", out, "--set", "sampler.steps=1", "--device", "cpu")
    with monkeypatch.context() as broken:
        broken.setattr(LocalFileSystem, "put_file", refuse)
        said = grain(*command)
        assert (said.code, "G746" in said.err) == (1, True)
        assert "run.json" not in {file.name for file in listed(out)}
    said = grain(*command)
    assert said.code == 0, said.err
    assert f"kept {out}: already finished" in said.out
    assert "run.json" in {file.name for file in listed(out)}


def refuse(*arguments: object, **named: object) -> None:
    raise OSError("no route to host")


# --- the record of a batch ------------------------------------------------------------------------


def test_the_record_of_a_batch_is_sent_while_it_runs(
    store: str, grain: Grain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    from grainspec_runtime.batch.folder import write_progress
    from grainspec_runtime.batch.manifest import Manifest, states, take_over

    monkeypatch.setattr(record, "SECONDS", 0.02)
    out = f"{store}/night"
    assert "G747" in grain("batch", "status", out).err
    with record.recorded(out, tmp_path / "first", take_over) as folder:
        manifest = Manifest(folder)
        manifest.add({"job": "a", "name": "a", "state": "done"})
        manifest.flush()
        write_progress(folder, {"jobs": 2, "stages": {"done": 1}, "ended": False})
        assert soon(lambda: b'"jobs": 2' in (get_bytes(f"{out}/batch.json") or b""))
        found = grain("batch", "status", out, "--format", "json").json
        assert (found["state"], found["done"], found["left"]) == ("running", 1, 1)
        record.fetch_record(out, tmp_path / "second")  # by a machine that resumes it
        assert states(tmp_path / "second") == {"a": "done"}
        manifest.add({"job": "b", "name": "b", "state": "done"})
        manifest.complete()
        write_progress(folder, {"jobs": 2, "stages": {"done": 2}, "ended": True})
    assert grain("batch", "status", out, "--format", "json").json["state"] == "complete"
    assert {file.name for file in listed(out)} == {"batch.json", "manifest.parquet"}
    with record.recorded(out, tmp_path / "third", take_over) as folder:
        assert states(folder) == {"a": "done", "b": "done"}


def test_machines_that_take_turns_lose_no_rows(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    from grainspec_runtime.batch.manifest import Manifest, states, take_over

    out = f"{store}/night"

    def add(folder: Path, job: str, state: str) -> Manifest:
        manifest = Manifest(folder)
        manifest.add({"job": job, "name": job, "state": state})
        manifest.flush()
        return manifest

    with (
        pytest.raises(KeyboardInterrupt),
        record.recorded(out, tmp_path / "first", take_over) as folder,
    ):
        add(folder, "a", "set aside")
        add(folder, "b", "done")
        raise KeyboardInterrupt  # and its rows are not put together: it is killed
    with record.recorded(out, tmp_path / "second", take_over) as folder:
        add(folder, "a", "done")
        add(folder, "c", "done").complete()
    with record.recorded(out, tmp_path / "first", take_over) as folder:
        assert states(folder) == {"a": "done", "b": "done", "c": "done"}
        add(folder, "d", "done").complete()
    with record.recorded(out, tmp_path / "third", take_over) as folder:
        assert states(folder) == dict.fromkeys("abcd", "done")


def test_machines_at_the_same_time_lose_no_rows(store: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from grainspec_runtime.batch.manifest import Manifest, states, take_over

    out = f"{store}/night"
    with record.recorded(out, tmp_path / "first", take_over) as first:
        with record.recorded(out, tmp_path / "second", take_over) as second:
            for folder, job in ((first, "a"), (second, "b")):
                manifest = Manifest(folder)
                manifest.add({"job": job, "name": job, "state": "done"})
                manifest.complete()
        assert states(first) == {"a": "done"}
    with record.recorded(out, tmp_path / "third", take_over) as folder:
        assert states(folder) == {"a": "done", "b": "done"}


def test_another_process_has_the_record(store: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from grainspec_runtime.batch.manifest import take_over

    command = f"""
import sys
from pathlib import Path
from grainspec_runtime.remote.record import recorded
with recorded("local://{tmp_path}/out", Path({str(tmp_path)!r}), lambda folder, other: None):
    print("begun", flush=True)
    sys.stdin.read()
"""
    arguments = [sys.executable, "-c", command]
    with subprocess.Popen(arguments, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        with (
            pytest.raises(GrainError) as taken,
            record.recorded(f"local://{tmp_path}/out", tmp_path, take_over),
        ):
            raise AssertionError
        process.communicate("")
    assert taken.value.diagnostics[0].code == "G340"
    assert process.returncode == 0


def test_a_record_that_cannot_be_sent_at_the_end(
    grain: Grain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summary is shown nevertheless, and the next command sends what this one could not."""
    pytest.importorskip("ray")
    table, out = tmp_path / "night.csv", f"local://{tmp_path}/out"
    table.write_text("spec\nnone.grain\n")
    send = record.put_file
    with monkeypatch.context() as broken:
        broken.setattr(record, "put_file", partial(refuse_at_the_end, send))
        said = grain("batch", table, "-o", out)
    assert said.code == 1
    assert "0 of 1 jobs are done" in said.out
    assert "wrote" not in said.out
    assert "G746" in said.err
    assert not (tmp_path / "out/manifest.parquet").exists()
    said = grain("batch", table, "-o", out)
    assert f"wrote {out}" in said.out
    assert (tmp_path / "out/manifest.parquet").is_file()


def refuse_at_the_end(send: Callable[..., None], path: Path, url: str, moved: Any = None) -> None:
    if path.name in ("manifest.parquet", "index.html"):
        raise fail("G746", "it cannot be written", "Wait.")
    send(path, url, moved)


def soon(holds: Callable[[], bool]) -> bool:
    """Whether something holds before long."""
    for _ in range(500):
        if holds():
            return True
        time.sleep(0.01)
    return False
