"""The files of the cache: whose entry each one is, and what killed processes leave."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import torch

from grainspec.diagnostics import Diagnostic
from grainspec_runtime.cache.store import entry_path, load_entry, save_entry, using


def no_warning(finding: Diagnostic) -> None:
    raise AssertionError(finding)


def keep(key: str, *, kind: str = "inversion") -> Path:
    save_entry(kind, key, {"trajectory": torch.arange(1000.0)}, {"clip": f"{key}.mp4"})
    return entry_path(kind, key)


@pytest.mark.parametrize("kind", ["inversion", "unfinished"])
def test_an_entry_under_another_name_is_not_taken_for_that_one(kind: str) -> None:
    path = keep("a", kind=kind)
    swapped = "unfinished" if kind == "inversion" else "inversion"
    for other_kind, other_key in ((kind, "b"), (swapped, "a")):
        other = entry_path(other_kind, other_key)
        other.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, other)
        found: list[Diagnostic] = []
        assert load_entry(other_kind, other_key, found.append) is None
        assert [finding.code for finding in found] == ["G512"]
        assert "the key of another entry" in found[0].message
        assert not other.exists()
    assert load_entry(kind, "a", no_warning) is not None


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
def test_locks_of_killed_processes_are_swept_away() -> None:
    path = keep("a")
    (path.parent / ".dead.safetensors.lock").touch()
    with using("inversion", "a"):
        keep("b")
        assert [lock.name for lock in path.parent.glob(".*.lock")] == [".a.safetensors.lock"]
    assert not list(path.parent.glob(".*"))
