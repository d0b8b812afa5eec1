"""Exchange two folders in one step, so that no moment is without either."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_HERE = -100  # AT_FDCWD: relative paths start at the working folder
_EXCHANGE = 2  # Linux: RENAME_EXCHANGE, macOS: RENAME_SWAP


def exchange(one: Path, other: Path) -> None:
    """Exchange what two paths name, atomically.

    Raises OSError where that is not possible: with ENOSYS on a system without such a call, with
    another number if the file system does not support it, or one of the two is a mount point.
    """
    names = os.fsencode(one), os.fsencode(other)
    call = None
    if sys.platform == "linux":
        call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        arguments = (_HERE, names[0], _HERE, names[1], _EXCHANGE)
    elif sys.platform == "darwin":
        call = getattr(ctypes.CDLL(None, use_errno=True), "renamex_np", None)
        arguments = (*names, _EXCHANGE)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(one))
    sys.audit("grainspec.exchange", str(one), str(other))
    if call(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one))
