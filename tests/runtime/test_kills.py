"""A folder that is replaced is whole at every moment: the old one or the new one.

`runtime/benchmarks/kills.py` does the same to whole runs, for as long as one likes.
"""

from __future__ import annotations

import errno
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from crash import Strike, full_disk, in_child, interrupt, kill

from grainspec import GrainError
from grainspec_runtime import whole_folder as module
from grainspec_runtime.whole_folder import claimed, restored, whole_folder

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

LAST = "run.json"
OLD = {LAST: "old", "a.txt": "old a", "gone.txt": "old only"}
NEW = {LAST: "new", "a.txt": "new a", "b.txt": "new b"}
VARIANT = {LAST: "of a variant"}


def keeps(entry: Path) -> bool:
    return (entry / LAST).is_file()


def write(folder: Path, files: dict[str, str] = NEW) -> None:
    with whole_folder(folder, keeps=keeps, last=LAST) as place:
        for name, text in files.items():
            (place / name).write_text(text)


def files_in(folder: Path) -> dict[str, str]:
    """The files of a folder; a lock that nobody holds means nothing."""
    files = [path for path in folder.iterdir() if path.is_file() and path.name != ".grain-lock"]
    return {path.name: path.read_text() for path in files}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Power cuts are not tested: nothing has to wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


def old_run(root: Path) -> Path:
    """A folder with a run, and that of a variant inside, alone in its parent."""
    folder = root / "runs" / "edit"
    write(folder, OLD)
    write(folder / "variant", VARIANT)
    return folder


def refused(*_: object) -> None:
    raise OSError(errno.EINVAL, "not here")


@pytest.fixture(params=["exchanged", "renamed", "copied", "inside"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a folder can be replaced: as on most systems, without exchange, or in its place only."""
    if request.param == "renamed":
        monkeypatch.setattr(module, "exchange", refused)
    elif request.param == "copied":
        monkeypatch.setattr(module._Places, "swappable", property(lambda places: False))
    elif request.param == "inside":
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "runs")
    return request.param


def moments(root: Path, strike: Strike, *, every: int = 1) -> Iterator[tuple[Path, int]]:
    """Strike at each file operation of replacing a run; gives the folder and the exit status."""
    for at in itertools.count(0, every):
        folder = old_run(root / str(at))
        status = in_child(lambda folder=folder: write(folder), strike, at)
        yield folder, status
        if status == 0:
            assert at > 20
            return


@pytest.mark.parametrize(("number", "every"), [(signal.SIGKILL, 1), (signal.SIGTERM, 5)])
def test_whenever_a_process_is_killed_the_old_or_the_new_folder_is_whole(
    way: str, number: int, every: int, tmp_path: Path
) -> None:
    seen = []
    every *= 1 if way in ("exchanged", "renamed") else 3
    for folder, status in moments(tmp_path, kill(number), every=every):
        assert status in (-number, 0)
        if way == "exchanged":  # even before anything is put in order
            assert files_in(folder) in (OLD, NEW)
        restored(folder, keeps=keeps, last=LAST)
        seen.append(files_in(folder))
        assert seen[-1] in (OLD, NEW)
        assert files_in(folder / "variant") == VARIANT
        write(folder)
        assert files_in(folder) == NEW
        assert sorted(path.name for path in folder.iterdir()) == sorted([*NEW, "variant"])
        assert [path.name for path in folder.parent.iterdir()] == ["edit"]
    assert seen[0] == OLD
    assert seen[-1] == NEW
    assert seen == sorted(seen, key=lambda files: files == NEW)


@pytest.mark.parametrize("strike", [full_disk, interrupt])
def test_whatever_fails_the_old_or_the_new_folder_is_whole(
    way: str, strike: Strike, tmp_path: Path
) -> None:
    for folder, _ in moments(tmp_path, strike, every=3):
        restored(folder, keeps=keeps, last=LAST)
        assert files_in(folder) in (OLD, NEW)
        assert files_in(folder / "variant") == VARIANT


def test_a_first_run_leaves_nothing_half_written(tmp_path: Path) -> None:
    for at in itertools.count():
        folder = tmp_path / str(at) / "runs" / "edit"
        status = in_child(lambda folder=folder: write(folder), kill(signal.SIGKILL), at)
        if folder.exists():
            assert files_in(folder) == NEW
        write(folder)
        assert [path.name for path in folder.parent.iterdir()] == ["edit"]
        if status == 0:
            break


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_what_the_system_refuses_is_a_coded_error(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = old_run(tmp_path)
    with pytest.raises(GrainError, match="G310") as raised, whole_folder(folder) as place:
        (place / "half.txt").write_text("half")
        raise OSError(number, os.strerror(number))
    assert os.strerror(number) in str(raised.value)
    assert files_in(folder) == OLD

    def no_folder(self: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched, pytest.raises(GrainError, match="G310"):
        patched.setattr(Path, "mkdir", no_folder)
        write(folder)
    assert files_in(folder) == OLD
    assert [path.name for path in folder.parent.iterdir()] == ["edit"]


def test_two_processes_do_not_write_one_folder(tmp_path: Path) -> None:
    folder = old_run(tmp_path)
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from grainspec_runtime.whole_folder import claimed\n"
        "with claimed(Path(sys.argv[1])):\n    print('held', flush=True)\n    input()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        for place in (folder, folder / "variant", folder.parent):  # each is part of the other
            with pytest.raises(GrainError, match="G340") as raised:
                write(place)
            assert f"process {other.pid}" in str(raised.value)
        restored(folder)  # a reader waits for nobody
        assert files_in(folder) == OLD
        write(tmp_path / "runs" / "another")
    finally:
        other.kill()
        other.communicate(timeout=60)
    write(folder)
    assert files_in(folder) == NEW
    assert sorted(path.name for path in folder.parent.iterdir()) == ["another", "edit"]


def test_a_claim_may_be_nested_and_ends(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "edit"
    with claimed(folder), claimed(folder):
        write(folder)
        write(folder / "variant", VARIANT)
        assert files_in(folder) == NEW
    assert [path.name for path in folder.parent.iterdir()] == ["edit"]
    with pytest.raises(RuntimeError), claimed(tmp_path / "none" / "edit"):
        raise RuntimeError
    assert not (tmp_path / "none").exists()  # folders that were made for nothing
    with pytest.raises(OSError, match="of the block"), claimed(folder):
        raise OSError("of the block")  # is not an error of writing the folder


def test_the_working_folder_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = old_run(tmp_path)
    monkeypatch.chdir(folder)
    write(Path())
    assert {path.name: path.read_text() for path in Path().glob("*.*")} == NEW
    assert files_in(folder / "variant") == VARIANT


def test_a_folder_of_others_is_not_taken_for_a_left_over_one(tmp_path: Path) -> None:
    theirs = tmp_path / "runs" / ".edit.new"
    theirs.mkdir(parents=True)
    (theirs / "thesis.txt").write_text("years of work")
    write(old_run(tmp_path))
    assert files_in(theirs) == {"thesis.txt": "years of work"}
