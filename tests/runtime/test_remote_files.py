"""Files behind URLs are read and written whole, whatever the store does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fsspec")

import fsspec
from faulty_store import Fault, Store, faulty_store

from grainspec import GrainError
from grainspec.remote import store as stores
from grainspec.remote.files import fetched_file, get_bytes, put_file
from grainspec.remote.folders import fetched_folder, put_folder
from grainspec_runtime.batch.places import Places
from grainspec_runtime.remote.record import recorded

DATA = bytes(range(256)) * 3000
"""768 kB: several packets."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "FIRST_PAUSE", 0.01)


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    pytest.importorskip("moto")
    pytest.importorskip("s3fs")
    with faulty_store("studio") as store, pytest.MonkeyPatch.context() as patch:
        patch.setitem(fsspec.config.conf, "s3", store.options)
        yield store


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        return f"memory://{tmp_path.name}"
    return f"file://{tmp_path}/store"


def test_a_file_goes_there_and_comes_back(url: str, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(DATA)
    put_file(tmp_path / "clip.mp4", f"{url}/a/clip.mp4")
    assert get_bytes(f"{url}/a/clip.mp4") == DATA
    come = fetched_file(f"{url}/a/clip.mp4", tmp_path / "fetched")
    assert come.name == "clip.mp4"
    assert come.read_bytes() == DATA
    again = fetched_file(f"{url}/a/clip.mp4", tmp_path / "fetched")
    assert again == come
    assert get_bytes(f"{url}/a/none.mp4") is None
    with pytest.raises(GrainError, match="none.mp4 cannot be read") as missing:
        fetched_file(f"{url}/a/none.mp4", tmp_path / "fetched")
    assert missing.value.diagnostics[0].code == "G746"


def test_a_folder_comes_whole(url: str, tmp_path: Path) -> None:
    for name in ("clip/00000.png", "left/00000.png", "note.txt"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(name.encode())
    put_folder(tmp_path / "in", f"{url}/a", last="note.txt")
    come = fetched_folder(f"{url}/a", tmp_path / "fetched")
    files = {path.relative_to(come).as_posix() for path in come.rglob("*") if path.is_file()}
    assert files == {"clip/00000.png", "left/00000.png", "note.txt"}
    assert (come / "left/00000.png").read_bytes() == b"left/00000.png"
    assert fetched_folder(f"{url}/a", tmp_path / "fetched") == come
    with pytest.raises(GrainError, match="no such folder"):
        fetched_folder(f"{url}/b", tmp_path / "fetched")


def test_another_version_is_fetched_anew(tmp_path: Path) -> None:
    for data in (b"first", b"second one"):
        (tmp_path / "clip").write_bytes(data)
        put_file(tmp_path / "clip", f"memory://{tmp_path.name}/clip")
        come = fetched_file(f"memory://{tmp_path.name}/clip", tmp_path / "fetched")
        assert come.read_bytes() == data


@pytest.mark.parametrize("faults", [["503"], ["cut"], ["slow"], ["cut", "503", "cut"]])
def test_faults_while_reading(store: Store, faults: list[Fault], tmp_path: Path) -> None:
    (tmp_path / "clip").write_bytes(DATA)
    name = f"s3://studio/{'-'.join(faults)}"
    put_file(tmp_path / "clip", name)
    store.made.clear()
    store.faults.extend(faults)
    assert fetched_file(name, tmp_path / "fetched").read_bytes() == DATA
    assert store.made == faults


@pytest.mark.parametrize("faults", [["503"], ["cut"], ["slow"], ["cut", "503", "cut"]])
def test_faults_while_writing(store: Store, faults: list[Fault], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for name in ("edited.mkv", "run.json"):
        (tmp_path / "run" / name).write_bytes(DATA)
    store.made.clear()
    store.faults.extend(faults)
    place = f"s3://studio/runs/{'-'.join(faults)}"
    put_folder(tmp_path / "run", place, last="run.json")
    assert store.made == faults
    assert get_bytes(f"{place}/edited.mkv") == get_bytes(f"{place}/run.json") == DATA


def test_no_bucket_is_made(store: Store, tmp_path: Path) -> None:
    (tmp_path / "clip").write_bytes(b"x")
    with pytest.raises(GrainError, match="there is no such bucket or folder"):
        put_file(tmp_path / "clip", "s3://studoi/clip")


def test_a_store_that_falls_silent(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"retries": {"max_attempts": 1}, "read_timeout": 0.3}
    monkeypatch.setitem(fsspec.config.conf, "s3", {**store.options, "config_kwargs": limits})
    monkeypatch.setattr(store, "pause", 1.0)
    (tmp_path / "clip").write_bytes(DATA)
    store.made.clear()
    for _ in range(2):
        store.faults.append("slow")
        put_file(tmp_path / "clip", "s3://studio/silent")
    store.faults.append("slow")
    assert fetched_file("s3://studio/silent", tmp_path / "fetched").read_bytes() == DATA
    assert store.made == ["slow"] * 3


def test_a_store_that_stays_broken(store: Store, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for name in ("edited.mkv", "run.json"):
        (tmp_path / "run" / name).write_bytes(DATA)
    place = "s3://studio/runs/broken"
    put_folder(tmp_path / "run", place, last="run.json")
    store.faults.extend(["503"] * 50)
    with pytest.raises(GrainError) as broken:
        put_folder(tmp_path / "run", place, last="run.json")
    store.faults.clear()
    assert broken.value.diagnostics[0].code == "G746"
    assert get_bytes(f"{place}/run.json") is None  # no sign of a whole run is left
    assert get_bytes(f"{place}/edited.mkv") == DATA  # the old one, whole


def test_passwords_are_not_shown() -> None:
    pytest.importorskip("paramiko")
    with pytest.raises(GrainError) as refused:
        get_bytes("sftp://user:secret@127.0.0.1:1/clip.mp4")
    message = str(refused.value)
    assert "secret" not in message
    assert "sftp://127.0.0.1:1/clip.mp4" in message


def test_results_of_a_batch(store: Store, tmp_path: Path) -> None:
    places: Any = Places("s3://studio/night", tmp_path)
    with places.result("job") as folder:
        folder.mkdir()
        (folder / "run.json").write_text("{}")
    assert get_bytes("s3://studio/night/runs/job/run.json") == b"{}"
    with pytest.raises(ValueError, match="stop"), places.result("other") as folder:
        folder.mkdir()
        (folder / "run.json").write_text("{}")
        raise ValueError("stop")
    assert get_bytes("s3://studio/night/runs/other/run.json") is None


def no_rows(folder: Path, other: Path) -> None:
    """Merge nothing."""


def test_a_record_that_cannot_be_written_ends_a_batch_before_it_begins(
    store: Store, tmp_path: Path
) -> None:
    begun = []
    with (
        pytest.raises(GrainError, match="there is no such bucket") as refused,
        recorded("s3://absent/night", tmp_path, no_rows),
    ):
        begun.append(True)
    assert (refused.value.diagnostics[0].code, begun) == ("G746", [])
    with recorded("s3://studio/soon", tmp_path, no_rows):
        assert get_bytes("s3://studio/soon/batch.json") is not None
