"""Locks between processes, by files. The system releases them when a process ends, however it ends.

Where there are no such locks (Windows, some network folders), nothing is locked and every lock is
granted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_FORGOTTEN = 3600.0
"""Without locks, partial files that are older than this many seconds are abandoned."""


def locked_file(path: Path, *, shared: bool = False, wait: bool = False) -> BinaryIO | None:
    """Open and lock a file, which is created if it is missing; None if another process has it.

    The lock lasts until the file is closed. Its holder may delete the file before that. With
    ``wait``, waits until the lock is free. Raises OSError if the file cannot be opened.
    """
    while True:
        file = path.open("a+b")
        try:
            if not _locks(file, shared=shared, wait=wait):
                file.close()
                return None
            if _is_still(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # its last holder deleted it in the meantime


def delete_locked(file: BinaryIO, path: Path) -> None:
    """Delete a locked file and release its lock, in the order that the system permits."""
    if os.name == "nt":
        file.close()
    path.unlink(missing_ok=True)
    file.close()


def remove_abandoned(partials: Iterable[Path]) -> None:
    """Delete partial files whose writer has ended; a living one holds the lock of its file."""
    for partial in partials:
        with contextlib.suppress(OSError), partial.open("r+b") as file:
            if fcntl is None:
                abandoned = time.time() - partial.stat().st_mtime > _FORGOTTEN
            else:
                abandoned = _locks(file) and _is_still(file, partial)
            if abandoned:
                partial.unlink()


def _locks(file: BinaryIO, *, shared: bool = False, wait: bool = False) -> bool:
    if fcntl is None:
        return True
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    return True


def _is_still(file: BinaryIO, path: Path) -> bool:
    """Whether the open file is the one that the path names now."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
