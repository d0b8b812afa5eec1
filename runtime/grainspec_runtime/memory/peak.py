"""The peak memory of this process."""

from __future__ import annotations

import sys


def peak_memory() -> int | None:
    """Return the peak memory of this process in bytes; None if it is unknown."""
    try:
        import resource
    except ImportError:
        return None
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
