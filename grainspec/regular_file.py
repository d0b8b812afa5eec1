"""Whether a path is a regular file: a FIFO would block, a device never ends."""

from __future__ import annotations

import stat
from pathlib import Path


def regular(path: Path) -> bool:
    """Whether ``path``, or what it links to, is a regular file; False if it cannot be looked up."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):  # such as a name that is too long, or with a null character
        return False
