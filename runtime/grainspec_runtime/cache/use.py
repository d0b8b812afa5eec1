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

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

_OURS: list[Path] = []


@contextmanager
def in_use(entry: Path) -> Iterator[None]:
    """Protect ``entry`` from eviction inside the block; the entry need not exist yet."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # nothing is evicted from a read-only cache
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
        with contextlib.suppress(OSError):  # another process may still use it
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            place.unlink(missing_ok=True)


def remove_unused(entry: Path) -> bool:
    """Delete an entry unless it is in use; returns whether it was deleted."""
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
    except OSError:  # in use, or not permitted
        return False
    return True


def _lock_of(entry: Path) -> Path:
    return entry.with_name(f".{entry.name}.lock")
