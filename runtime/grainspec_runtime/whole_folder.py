"""Folders written whole or not at all, by one process at a time.

A new folder is written beside the old one, and then takes its place: both are exchanged in one step
where the system can, else the old one is renamed away first. A folder that cannot be renamed (a
mount point, the working folder) has its files replaced one by one. Whatever moment a process is
killed at, the old or the new folder can be restored whole: :func:`claimed` does so before the
folder is written again, and :func:`restored` before it is read.

The names beside the folder, for a folder ``run``:

    .run.grain-lock    locked by the process that writes the folder; contains its number
    .run.grain-new     the new folder while it is written; after the exchange, the old one
    .run.grain-old     the old folder, renamed away
    .run.grain-ready   the new folder, complete, while its files are copied into the old one

They are inside the folder, as ``.grain-lock`` and so on, if nothing can be written beside it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from grainspec.diagnostics import GrainError, fail
from grainspec.file_lock import delete_locked, locked_file
from grainspec.whole_file import whole_file
from grainspec_runtime.exchange import exchange

Keeps = Callable[[Path], bool]
"""Whether an entry of the old folder is kept in the new one, such as the run of a variant."""

_BESIDE = re.compile(r"\.(?:(.+)\.)?grain-(?:lock|new|old|ready)")
_OURS: dict[Path, int] = {}
"""The folders that this process has claimed, with the threads that did."""
_GUARD = threading.Lock()


def nothing(entry: Path) -> bool:
    """Keep no entry of the old folder."""
    return False


@dataclass(frozen=True)
class _Places:
    """A folder, and the names of what lies beside it while it is written."""

    folder: Path
    lock: Path
    new: Path
    old: Path
    ready: Path

    @classmethod
    def of(cls, folder: Path) -> _Places:
        inside = folder.is_dir() and not os.access(folder.parent, os.W_OK | os.X_OK)
        place, start = (folder, ".") if inside else (folder.parent, f".{folder.name}.")
        names = ("lock", "new", "old", "ready")
        return cls(folder, *(place / f"{start}grain-{name}" for name in names))

    @property
    def swappable(self) -> bool:
        """Whether the folder may be another one afterwards; processes stay in a working folder."""
        if self.new.parent == self.folder:
            return False
        try:
            return not Path.cwd().is_relative_to(self.folder)
        except FileNotFoundError:  # the working folder was deleted
            return True


def is_left_over(entry: Path) -> bool:
    """Whether an entry of a folder has one of the names that exist while a folder is written."""
    return _BESIDE.fullmatch(entry.name) is not None


@contextmanager
def claimed(folder: Path, *, keeps: Keeps = nothing, last: str = "") -> Iterator[None]:
    """Keep other processes from writing ``folder`` inside the block; it need not exist.

    What a killed process left of it is put in order first. May be nested. ``keeps`` and ``last``
    are those of :func:`whole_folder`. Raises GrainError: G340 if another process, or another thread
    of this one, is writing the folder, the one above it, or one in it; G310 if it cannot be
    written.
    """
    folder = folder.resolve()
    with _GUARD:
        owner = _OURS.get(folder)
        if owner is None:
            _OURS[folder] = threading.get_ident()
        elif owner != threading.get_ident():
            raise _taken(folder, os.getpid())
    if owner is not None:
        yield
        return
    try:
        with contextlib.ExitStack() as held:
            with _explained(folder):
                if folder.exists() and not folder.is_dir():
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
                held.enter_context(_parents(folder))
                held.enter_context(_locked(_Places.of(folder)))
                _refuse_if_taken(folder.parent)
                _put_in_order(folder, keeps, last)
                _put_parts_in_order(folder, last)
            yield
    finally:
        del _OURS[folder]


def restored(folder: Path, *, keeps: Keeps = nothing, last: str = "") -> None:
    """Put in order what a killed process left of a folder, unless another process writes it now."""
    places = _Places.of(folder.resolve())
    if any(place.exists() for place in (places.new, places.old, places.ready)):
        with contextlib.suppress(GrainError), claimed(folder, keeps=keeps, last=last):
            pass


@contextmanager
def whole_folder(folder: Path, *, keeps: Keeps = nothing, last: str = "") -> Iterator[Path]:
    """Return a new folder to write to, which takes the place of ``folder`` at the end of the block.

    If an exception is raised inside, the new folder is deleted and ``folder`` is unchanged. Of the
    old folder, the entries that ``keeps`` chooses are moved to the new one. Where its files have to
    be replaced one by one, the file named ``last`` is removed first and written last, as a sign
    that the folder is whole.

    Raises GrainError as :func:`claimed` does.
    """
    folder = folder.resolve()
    with claimed(folder, keeps=keeps, last=last), _explained(folder, "Is the disk full?"):
        places = _Places.of(folder)
        try:
            places.new.mkdir()
            yield places.new
            _write_through(places.new)
            _take_place(places, keeps, last)
        finally:
            _put_in_order(folder, keeps, last)


@contextmanager
def _explained(folder: Path, cure: str = "Choose another folder: `-o FOLDER`.") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{folder} cannot be written: {error.strerror or error}"
        raise fail("G310", message, cure) from error


@contextmanager
def _parents(folder: Path) -> Iterator[None]:
    """Make the folders above ``folder``; those that are still empty at the end are removed."""
    missing = [parent for parent in folder.parents if not parent.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            for parent in missing:
                parent.rmdir()


@contextmanager
def _locked(places: _Places) -> Iterator[None]:
    file = locked_file(places.lock)
    if file is None:
        raise _taken(places.folder, _process(places.lock))
    try:
        file.truncate(0)
        file.write(f"{os.getpid()}\n".encode())
        file.flush()
        yield
    finally:
        delete_locked(file, places.lock)


def _refuse_if_taken(folder: Path) -> None:
    """Raise GrainError (G340) if another process is writing a folder."""
    lock = _Places.of(folder).lock
    if folder in _OURS or not lock.exists():
        return
    file = locked_file(lock, shared=True)
    if file is None:
        raise _taken(folder, _process(lock))
    file.close()


def _taken(folder: Path, process: int | None) -> GrainError:
    who = f": process {process}" if process else ""
    cure = "Wait until it has finished, or choose another folder: `-o FOLDER`."
    return fail("G340", f"another run is writing {folder}{who}", cure)


def _process(lock: Path) -> int | None:
    """The number of the process that holds a lock, as it wrote it there."""
    with contextlib.suppress(OSError, ValueError):
        return int(lock.read_text(encoding="ascii")[:20])
    return None


def _write_through(folder: Path) -> None:
    """Wait until a folder's files are on the disk: a power cut must not lose both old and new."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())


def _take_place(places: _Places, keeps: Keeps, last: str) -> None:
    """Put the new folder in the place of the old one."""
    if not places.folder.exists():
        places.new.rename(places.folder)
        return
    shutil.copymode(places.folder, places.new)
    if places.swappable:
        with contextlib.suppress(OSError):
            exchange(places.new, places.folder)
            return
        with contextlib.suppress(OSError):
            places.folder.rename(places.old)
    if not places.folder.exists():
        places.new.rename(places.folder)
    else:
        places.new.rename(places.ready)
        _replace_files(places, keeps, last)


def _put_in_order(folder: Path, keeps: Keeps, last: str) -> None:
    """Restore a folder after any moment of :func:`_take_place`, and remove what lies beside it."""
    places = _Places.of(folder)
    if places.ready.exists():
        _replace_files(places, keeps, last)
    if places.old.exists() and not folder.exists():
        places.old.rename(folder)
    for old in (places.old, places.new):
        if old.exists():
            _dissolve(old, folder, keeps)


def _put_parts_in_order(folder: Path, last: str) -> None:
    """Put in order the folders in a folder, such as those of variants."""
    if not folder.is_dir():
        return
    for name in {
        match[1] for entry in folder.iterdir() if (match := _BESIDE.fullmatch(entry.name))
    }:
        if name:
            with claimed(folder / name, last=last):
                pass


def _dissolve(old: Path, folder: Path, keeps: Keeps) -> None:
    """Move what is kept of an old folder to the one in its place, and delete the rest."""
    if folder.exists():
        for entry in list(old.iterdir()):
            if keeps(entry) and not (folder / entry.name).exists():
                entry.rename(folder / entry.name)
    shutil.rmtree(old)


def _replace_files(places: _Places, keeps: Keeps, last: str) -> None:
    """Replace the files of a folder by copies of those that are ready; may be repeated."""
    folder = places.folder
    new = {path.name: path for path in places.ready.iterdir()}
    if last:
        (folder / last).unlink(missing_ok=True)
    for entry in list(folder.iterdir()):
        if entry.name not in new and not keeps(entry) and not is_left_over(entry):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for name in sorted(new, key=lambda name: name == last):
        with whole_file(folder / name) as partial:
            shutil.copyfile(new[name], partial)
    places.ready.rename(places.new)
