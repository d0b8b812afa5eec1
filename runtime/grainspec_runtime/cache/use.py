"""Track which cache entries are in use by any process, so that they are never evicted.

A lock file beside an entry is locked while the entry is in use. The operating system releases the
lock when the process ends, even after a crash. Without such locks (on Windows), only the entries
used by this process are protected.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grainspec.file_lock import delete_locked, locked_file

_OURS: list[Path] = []


@contextmanager
def in_use(entry: Path) -> Iterator[None]:
    """Protect ``entry`` from eviction inside the block; the entry need not exist yet."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # nothing is evicted from a read-only cache
            stack.enter_context(_shared(entry))
        _OURS.append(entry)
        try:
            yield
        finally:
            _OURS.remove(entry)


@contextmanager
def _shared(entry: Path) -> Iterator[None]:
    place = _lock_of(entry)
    place.parent.mkdir(parents=True, exist_ok=True)
    file = locked_file(place, shared=True, wait=True)
    try:
        yield
    finally:
        if file:
            file.close()
        with contextlib.suppress(OSError):
            _delete_lock(place)


def remove_unused(entry: Path) -> bool:
    """Delete an entry unless it is in use; returns whether it was deleted."""
    if entry in _OURS:
        return False
    try:
        file = locked_file(_lock_of(entry))
        if file is None:
            return False
        try:
            entry.unlink(missing_ok=True)
        finally:
            delete_locked(file, _lock_of(entry))
    except OSError:  # not permitted
        return False
    return True


def remove_unused_locks(folder: Path) -> None:
    """Delete the lock files in a cache folder that nobody holds: those of killed processes."""
    for place in folder.glob(".*.lock"):
        with contextlib.suppress(OSError):
            _delete_lock(place)


def _delete_lock(place: Path) -> None:
    if place.exists() and (file := locked_file(place)):
        delete_locked(file, place)


def _lock_of(entry: Path) -> Path:
    return entry.with_name(f".{entry.name}.lock")
