"""SFTP, GCS and HTTP: faults are tried again, transfers are whole, secrets stay secret."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("fsspec")

import fsspec
from faulty_store import Fault, faulty_proxy, serving
from fsspec.implementations.memory import MemoryFileSystem

from grainspec import GrainError
from grainspec.remote import store as stores
from grainspec.remote.files import copied_file, fetched_file, get_bytes, names_in, put_file, remove
from grainspec.remote.folders import fetched_folder, put_folder
from grainspec.remote.store import check_lasting, check_writable
from grainspec_runtime.remote.record import recorded

DATA = bytes(range(256)) * 3000
"""768 kB: several packets."""


@dataclass
class Remote:
    """A folder behind a URL, the faults of its next transfers, and the names that it has."""

    url: str
    faults: deque[Fault]
    made: list[Fault]
    names: Callable[[], set[str]]
    wait: Callable[[float], None]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "FIRST_PAUSE", 0.01)


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    pytest.importorskip("paramiko", reason="needs the extra `sftp`")
    from sftp_server import faulty_sftp

    folder = tmp_path_factory.mktemp("sftp")
    with faulty_sftp(folder) as store:

        def names() -> set[str]:
            return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}

        wait = partial(setattr, store, "pause")
        yield Remote(store.url, store.faults, store.made, names, wait)


@pytest.fixture(scope="module")
def gcs() -> Iterator[Remote]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # which asks Google's servers
        gcsfs = pytest.importorskip("gcsfs", reason="needs the extra `gcs`")
        from gcs_server import faulty_gcs

        quick = SimpleNamespace(sleep=lambda seconds: asyncio.sleep(seconds / 1000))
        patch.setattr(gcsfs.retry, "asyncio", quick)
        with faulty_gcs() as (store, objects):
            options = {"endpoint_url": store.endpoint, "token": "anon", "project": "p"}
            patch.setitem(fsspec.config.conf, "gs", options)
            root = "studio/"
            yield Remote(
                "gs://studio",
                store.faults,
                store.made,
                lambda: {name.removeprefix(root) for name in objects},
                partial(setattr, store, "pause"),
            )


@pytest.fixture(params=["sftp", "gcs"])
def remote(request: pytest.FixtureRequest) -> Iterator[Remote]:
    found: Remote = request.getfixturevalue(request.param)
    found.made.clear()
    found.wait(0.1)
    yield found
    found.faults.clear()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Any, Path]]:
    """A plain web server of a folder, behind a proxy."""
    pytest.importorskip("aiohttp", reason="needs the extra `http`")
    folder = tmp_path / "web"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    handler: Any = partial(Quiet, directory=str(folder))
    with (
        serving(handler) as server,
        faulty_proxy("127.0.0.1", server.server_port, lambda method, path: True) as store,
    ):
        yield store, folder


def clip(tmp_path: Path, data: bytes = DATA) -> Path:
    (tmp_path / "clip.mp4").write_bytes(data)
    return tmp_path / "clip.mp4"


def test_files_and_folders_go_there_and_come_back(remote: Remote, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for name in ("edited.mkv", "pig/run.json", "run.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    place = f"{remote.url}/runs/a"
    put_folder(folder, place, last="run.json")
    put_folder(folder, place, last="run.json")  # in the place of the first
    assert names_in(place) == ["edited.mkv", "pig", "run.json"]
    come = fetched_folder(place, tmp_path / "fetched")
    assert (come / "pig/run.json").read_bytes() == b"pig/run.json"
    assert {name for name in remote.names() if "part" in name} == set()
    remove(f"{place}/run.json")
    remove(f"{place}/run.json")
    assert get_bytes(f"{place}/run.json") is None
    with pytest.raises(GrainError, match="clip.mp4 cannot be read: there is no such file") as found:
        fetched_file(f"{remote.url}/clip.mp4", tmp_path / "fetched")
    assert found.value.diagnostics[0].code == "G746"


@pytest.mark.parametrize("faults", [["503"], ["cut"], ["slow"], ["cut", "503", "slow"]])
def test_faults_while_reading(remote: Remote, faults: list[Fault], tmp_path: Path) -> None:
    url = f"{remote.url}/{'-'.join(faults)}/clip.mp4"
    put_file(clip(tmp_path), url)
    remote.faults.extend(faults)
    assert fetched_file(url, tmp_path / "fetched").read_bytes() == DATA
    assert remote.made == faults


@pytest.mark.parametrize("faults", [["503"], ["cut"], ["slow"], ["cut", "503", "slow"]])
def test_faults_while_writing(remote: Remote, faults: list[Fault], tmp_path: Path) -> None:
    url = f"{remote.url}/w-{'-'.join(faults)}/clip.mp4"
    remote.faults.extend(faults)
    put_file(clip(tmp_path), url)
    assert remote.made == faults
    assert get_bytes(url) == DATA
    folder = url.rpartition("/")[0].removeprefix(remote.url).strip("/")
    assert {name for name in remote.names() if name.startswith(folder)} == {f"{folder}/clip.mp4"}


def test_transfers_tell_their_progress(remote: Remote, tmp_path: Path) -> None:
    megabytes = bytes(3_900_000)  # a library may tell of several packets at once
    url = f"{remote.url}/progress/clip.mp4"
    there: list[tuple[int, int]] = []
    put_file(clip(tmp_path, megabytes), url, lambda *told: there.append(told))
    back: list[tuple[int, int]] = []
    assert copied_file(url, tmp_path / "back.mp4", lambda *told: back.append(told))
    assert {total for _, total in there + back} == {4}
    assert there[-1] == back[-1] == (4, 4)
    done = [done for done, _ in back]
    assert done == sorted(done)
    assert set(done) == {0, 1, 2, 3, 4}
    assert (tmp_path / "back.mp4").read_bytes() == megabytes
    assert not copied_file(f"{url}.none", tmp_path / "none.mp4")
    assert not (tmp_path / "none.mp4").exists()


def test_what_a_killed_writer_leaves_is_not_read(remote: Remote, tmp_path: Path) -> None:
    for name in ("clip.mp4", ".clip.mp4.12345678.part"):
        put_file(clip(tmp_path), f"{remote.url}/killed/{name}")
    assert len(list(fetched_folder(f"{remote.url}/killed", tmp_path / "fetched").iterdir())) == 1


def test_a_store_that_stays_broken(remote: Remote, tmp_path: Path) -> None:
    url = f"{remote.url}/broken/clip.mp4"
    put_file(clip(tmp_path), url)
    remote.faults.extend(["503"] * 1000)
    for act in (
        lambda: put_file(clip(tmp_path, DATA[::-1]), url),
        lambda: fetched_file(url, tmp_path / "fetched"),
    ):
        with pytest.raises(GrainError) as broken:
            act()
        assert broken.value.diagnostics[0].code == "G746"
        assert "geheim" not in str(broken.value)
    left = len(remote.faults)
    assert 1000 > left > 0  # tried again, and not for ever
    remote.faults.clear()
    assert get_bytes(url) == DATA  # the old one, whole
    assert [name for name in remote.names() if name.startswith("broken")] == ["broken/clip.mp4"]
    assert not list((tmp_path / "fetched").rglob("*.mp4"))


def test_a_server_that_falls_silent(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "SILENCE", 0.3)
    url = f"{remote.url}/silent/clip.mp4"
    put_file(clip(tmp_path), url)
    remote.wait(1.0)
    remote.faults.append("slow")
    assert fetched_file(url, tmp_path / "fetched").read_bytes() == DATA
    remote.faults.append("slow")
    put_file(clip(tmp_path, DATA[::-1]), url)
    assert remote.made == ["slow", "slow"]
    assert get_bytes(url) == DATA[::-1]


@pytest.mark.parametrize("faults", [["503"], ["cut"], ["slow"], ["503", "503", "cut"]])
def test_clips_on_the_web(web: Any, faults: list[Fault], tmp_path: Path) -> None:
    store, folder = web
    clip(folder)
    store.faults.extend(faults)
    url = f"{store.endpoint}/clip.mp4?signature=geheim"
    come = fetched_file(url, tmp_path / "fetched")
    assert come.read_bytes() == DATA
    assert come.name == "clip.mp4"
    assert store.made == faults


def test_what_is_not_on_the_web(web: Any, tmp_path: Path) -> None:
    store, _ = web
    secret = store.endpoint.replace("http://", "http://me:geheim@")
    for url in (f"{secret}/none.mp4?signature=geheim", f"{secret}/none.mp4"):
        with pytest.raises(GrainError) as missing:
            fetched_file(url, tmp_path / "fetched")
        assert "none.mp4" in str(missing.value)
        assert "there is no such file" in str(missing.value)
        assert "geheim" not in str(missing.value)
        assert get_bytes(url) is None
    store.faults.extend(["503"] * 50)
    with pytest.raises(GrainError, match="503") as broken:
        fetched_file(url, tmp_path / "fetched")
    assert "geheim" not in str(broken.value)


def test_nothing_is_written_to_the_web(web: Any, tmp_path: Path) -> None:
    store, _ = web
    with (
        pytest.raises(GrainError) as refused,
        recorded(f"{store.endpoint}/night?key=geheim", tmp_path, lambda folder, other: None),
    ):
        raise AssertionError
    assert refused.value.diagnostics[0].code == "G758"
    assert "geheim" not in str(refused.value)
    with pytest.raises(GrainError, match="G758"):
        put_file(clip(tmp_path), f"{store.endpoint}/clip.mp4")


def test_a_wrong_password_is_tried_once(sftp: Remote, tmp_path: Path) -> None:
    url = sftp.url.replace("geheim", "falsch")
    with pytest.raises(GrainError, match="Authentication failed") as refused:
        put_file(clip(tmp_path), f"{url}/clip.mp4")
    assert refused.value.diagnostics[0].code == "G746"
    assert "falsch" not in str(refused.value)


def test_a_machine_without_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them gcsfs would try each request for half a minute."""
    pytest.importorskip("gcsfs", reason="needs the extra `gcs`")
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    def nothing(**how: Any) -> None:
        raise DefaultCredentialsError("Your credentials\nwere not found.")

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setitem(fsspec.config.conf, "gs", {})
    monkeypatch.setattr(google.auth, "default", nothing)
    with pytest.raises(GrainError, match=r"written: Your credentials were not found\. ") as absent:
        check_lasting("gs://studio/out")
    assert absent.value.diagnostics[0].code == "G746"
    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
    check_lasting("gs://studio/out")
    monkeypatch.setitem(fsspec.config.conf, "gs", {})
    monkeypatch.setattr(google.auth, "default", lambda: ("credentials", "project"))
    check_lasting("gs://studio/out")


class ClientConnectorDNSError(OSError):
    """As that of aiohttp."""


class AnswerError(Exception):
    """As that of gcsfs."""

    def __init__(self, code: int) -> None:
        super().__init__("Anonymous caller does not have access")
        self.code = code


@pytest.mark.parametrize(
    ("url", "error", "tries"),
    [
        ("gs://studio/a", ClientConnectorDNSError("no such host"), 1),
        ("memory://studio/a", ClientConnectorDNSError("no such host"), stores.TRIES),
        ("gs://studio/a", AnswerError(401), 1),
        ("gs://studio/a", OSError("Forbidden: https://storage"), 1),
        ("gs://studio/a", AnswerError(503), stores.TRIES),
    ],
)
def test_what_another_try_does_not_cure(
    url: str, error: Exception, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gcsfs", reason="needs the extra `gcs`")
    monkeypatch.setattr(stores, "opened", lambda url: (MemoryFileSystem(), url))
    made: list[str] = []

    def act(fs: Any, path: str) -> None:
        made.append(path)
        raise error

    with pytest.raises(GrainError, match="cannot be read"):
        stores.tried(url, "read", act)
    assert len(made) == tries


def test_gcsfs_prints_no_tracebacks(gcs: Remote) -> None:
    gcs.faults.extend(["503"] * 40)
    with pytest.raises(GrainError, match="G746"):
        get_bytes(f"{gcs.url}/clip.mp4")
    gcs.faults.clear()
    assert logging.getLogger("gcsfs").handlers  # else Python prints what is logged


@pytest.mark.parametrize(
    ("module", "url", "extra"),
    [
        ("s3fs", "s3://studio/a", "s3"),
        ("gcsfs", "gs://studio/a", "gcs"),
        ("paramiko", "sftp://me:geheim@host/a", "sftp"),
        ("aiohttp", "https://host/a", "http"),
    ],
)
def test_a_package_that_is_missing(
    module: str, url: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"paramiko": "fsspec.implementations.sftp", "aiohttp": "fsspec.implementations.http"}
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, files.get(module, ""), raising=False)
    for protocol in ("s3", "gs", "sftp", "https"):
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, protocol, raising=False)
    acts: list[Callable[[str], object]] = [get_bytes]
    if extra != "http":
        acts.append(check_writable)
    for act in acts:
        with pytest.raises(GrainError) as missing:
            act(url)
        assert missing.value.diagnostics[0].code == "G757"
        assert f"pip install 'grainspec[{extra}]'" in str(missing.value)
        assert "geheim" not in str(missing.value)
