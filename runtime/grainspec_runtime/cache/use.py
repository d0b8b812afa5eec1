"""Which entries of the cache are in use, in whatever process: those go last of all, that is never.

A lock file beside an entry is locked while the entry is used. The system gives the lock up when the
process ends, however it ends. Where there are no such locks (Windows), only this process's own
entries are known.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

_OURS: list[Path] = []


@contextmanager
def in_use(entry: Path) -> Iterator[None]:
    """Keep ``entry`` from being removed inside the block; it need not be there yet."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a cache for reading only loses nothing
            stack.enter_context(_locked(entry))
        _OURS.append(entry)
        try:
            yield
        finally:
            _OURS.remove(entry)


@contextmanager
def _locked(entry: Path) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    place = _lock_of(entry)
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield
        with contextlib.suppress(OSError):  # others may use it still
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            place.unlink(missing_ok=True)


def remove_unused(entry: Path) -> bool:
    """Remove an entry unless it is in use; says whether it is gone."""
    if entry in _OURS:
        return False
    place = _lock_of(entry)
    try:
        with contextlib.ExitStack() as stack:
            if fcntl is not None and place.exists():
                file = stack.enter_context(place.open("a"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            entry.unlink(missing_ok=True)
            place.unlink(missing_ok=True)
    except OSError:  # in use, or not ours to remove
        return False
    return True


def _lock_of(entry: Path) -> Path:
    return entry.with_name(f".{entry.name}.lock")
