"""Cache entries as bytes, for machines that have no cache folder in common."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from grainspec.whole_file import whole_file
from grainspec_runtime.cache.store import entry_path

Packed = Mapping[str, npt.NDArray[np.uint8]]
"""The files of cache entries, by key."""


def packed(kind: str, keys: list[str]) -> Packed:
    """Return the files of those entries that exist."""
    files = {}
    for key in keys:
        with contextlib.suppress(OSError):
            files[key] = np.fromfile(entry_path(kind, key), np.uint8)
    return files


def unpack(kind: str, entries: Packed) -> None:
    """Write entries that this machine's cache lacks; does nothing if it is not writable.

    An entry is checked when it is loaded, as any other: it has its key and a checksum.
    """
    for key, data in entries.items():
        path = entry_path(kind, key)
        if path.exists():
            continue
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as partial:
                data.tofile(partial)
