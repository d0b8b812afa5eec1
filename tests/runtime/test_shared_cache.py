"""Inversions behind a URL: shared by machines, written whole, and never a reason to fail."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from clips import EXAMPLES
from command import Grain

pytest.importorskip("fsspec")

import fsspec

from grainspec import load
from grainspec.cache_folder import cache_folder, fetched_files, shared_cache
from grainspec.diagnostics import Diagnostic
from grainspec.model.spec import FrameRange, Size
from grainspec.remote import store as stores
from grainspec.remote.files import fetched_file, put_bytes
from grainspec_runtime import Editor
from grainspec_runtime.cache import shared
from grainspec_runtime.cache.store import entry_path, load_entry, prune, save_entry

Machine = Callable[[str], None]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(stores, "FIRST_PAUSE", 0.001)
    shared._BROKEN.clear()
    yield
    shared._BROKEN.clear()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Makes this process one of several machines, which share a cache."""
    monkeypatch.setenv("GRAINSPEC_CACHE", f"memory://{tmp_path.name}/cache/")

    def use(name: str) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))

    use("first")
    return use


def no_warning(finding: Diagnostic) -> None:
    raise AssertionError(finding)


def save(key: str, value: float = 1.0, kind: str = "inversion") -> None:
    tensors = {"trajectory": torch.full((1000,), value)}
    save_entry(kind, key, tensors, {"clip": f"{key}.mp4"}, no_warning)


def there(key: str) -> str:
    return f"{shared_cache()}/inversions/{key}.safetensors"


def test_another_machine_finds_what_one_saved(machine: Machine) -> None:
    save("a")
    save("u", kind="unfinished")
    assert cache_folder().is_absolute()
    machine("second")
    moved: list[tuple[int, int]] = []
    found = load_entry("inversion", "a", no_warning, lambda *told: moved.append(told))
    assert found is not None
    assert torch.equal(found["trajectory"], torch.ones(1000))
    assert entry_path("inversion", "a").is_file()  # now here, too
    assert moved[-1] == (1, 1)
    assert load_entry("unfinished", "u", no_warning) is None  # of the other machine alone
    assert load_entry("inversion", "b", no_warning) is None


def test_a_copy_is_read_once(machine: Machine) -> None:
    save("a")
    machine("second")
    load_entry("inversion", "a", no_warning)
    fsspec.filesystem("memory").rm_file(there("a"))
    assert load_entry("inversion", "a", no_warning) is not None
    prune(0)
    assert load_entry("inversion", "a", no_warning) is None


def test_two_machines_write_the_same(machine: Machine) -> None:
    save("a")
    machine("second")
    save("a")
    machine("third")
    assert load_entry("inversion", "a", no_warning) is not None
    assert len(shared.shared_entries(str(shared_cache()))) == 1


@pytest.mark.parametrize("damage", ["cut", "bit", "another", "empty"])
def test_a_damaged_entry_is_refused_and_replaced(machine: Machine, damage: str) -> None:
    save("a")
    save("b")
    memory = fsspec.filesystem("memory")
    data = bytearray(memory.cat_file(there("a")))
    if damage == "bit":
        data[-5] ^= 1
    damaged = {"cut": data[:-50], "bit": data, "empty": b"", "another": None}[damage]
    memory.pipe_file(there("a"), memory.cat_file(there("b")) if damaged is None else bytes(damaged))
    machine("second")
    told: list[Diagnostic] = []
    assert load_entry("inversion", "a", told.append) is None
    assert [finding.code for finding in told] == ["G512"]
    assert not entry_path("inversion", "a").exists()
    save("a")
    machine("third")
    assert load_entry("inversion", "a", no_warning) is not None


def test_a_store_that_is_down_is_no_error(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("paramiko")
    monkeypatch.setenv("GRAINSPEC_CACHE", "sftp://me:geheim@127.0.0.1:1/cache")
    told: list[Diagnostic] = []
    assert load_entry("inversion", "a", told.append) is None
    save("a")  # here alone, and without another word
    assert load_entry("inversion", "a", no_warning) is not None
    assert [finding.code for finding in told] == ["G759"]
    assert "sftp://127.0.0.1:1/cache" in told[0].message
    assert "geheim" not in str(told[0])


def test_an_edit_on_another_machine_needs_no_inversion(machine: Machine, tiny_sd: Path) -> None:
    whole = load(EXAMPLES / "part.grain")
    video = whole.video.replaced(
        {}, size=Size(width=64, height=64), frames=FrameRange(first=0, last=1)
    )
    sampler = whole.sampler.replaced({}, steps=2)
    spec = whole.replaced({}, model=str(tiny_sd), video=video, sampler=sampler)
    results = []
    for name in ("first", "second"):
        machine(name)
        results.append(Editor(str(tiny_sd), device="cpu").run(spec, base=EXAMPLES))
    assert [result.inversion_cached for result in results] == [False, True]
    assert (results[0].edited == results[1].edited).all()


def test_the_command(machine: Machine, grain: Grain) -> None:
    for key in "abc":
        save(key)
    found = grain("cache", "--format", "json").json
    size = found["shared"]["bytes"] // 3
    assert found["shared"]["entries"] == len(found["entries"]) == 3
    assert found["shared"]["url"] == shared_cache()
    assert f"{shared_cache()}: 3 entries, " in grain("cache").out
    assert grain("cache", "--clear", "--format", "json").json["shared"]["entries"] == 3
    said = grain("cache", "--shared", "--limit", str(size), "--format", "json").json
    assert said["freed_bytes"] == 2 * size
    assert said["limit_bytes"] == 4_000_000_000
    assert load_entry("inversion", "a", no_warning) is None  # the oldest goes first
    assert load_entry("inversion", "c", no_warning) is not None
    assert grain("cache", "--shared", "--clear", "--format", "json").json["shared"]["bytes"] == 0
    assert grain("cache", "--shared").code == 2


def test_sharing_needs_a_url(grain: Grain) -> None:
    assert grain("cache", "--shared", "--clear").code == 2
    assert grain("cache", "--format", "json").json["shared"] is None


def test_copies_of_remote_files_that_are_not_used_are_cleared(grain: Grain, tmp_path: Path) -> None:
    for name in ("old", "new"):
        put_bytes(b"x" * 1000, f"memory://{tmp_path.name}/{name}.mp4")
    old, new = (
        fetched_file(f"memory://{tmp_path.name}/{name}.mp4", fetched_files())
        for name in ("old", "new")
    )
    os.utime(old.parent, (time.time() - 100_000,) * 2)
    assert "2.0 kB of copies" in grain("cache").out
    assert grain("cache", "--clear", "--format", "json").json["copies_bytes"] == 1000
    assert (old.exists(), new.exists()) == (False, True)
