"""Inversions behind a URL, for machines that share them: ``GRAINSPEC_CACHE=s3://bucket/cache``.

An entry is copied into this machine's cache folder before it is read, and checked there as any
other. A new one is written there, and then sent, whole or not at all: machines that send the same
entry replace it by an equally valid one.

Failures cost time, never a result: after the first one, a warning (G759) says so, and the process
goes on with its own cache.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from grainspec.cache_folder import shared_cache
from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.remote.address import joined, shown
from grainspec.remote.files import Moved, copied_file, put_file, remove
from grainspec.remote.folders import RemoteFile, listed

FOLDER = "inversions"
"""The folder of the entries, behind the URL as on a disk."""
_BROKEN: set[str] = set()
"""The URLs that failed in this process: a store that is down is not waited for again and again."""

Warn = Callable[[Diagnostic], None]


def fetched(path: Path, warn: Warn, moved: Moved) -> bool:
    """Copy the shared entry of this name to a path; return whether there is one."""
    url = _usable()
    if url is None:
        return False
    with _noticed(url, warn):
        return copied_file(joined(url, FOLDER, path.name), path, moved)
    return False


def send(path: Path, warn: Warn, moved: Moved) -> None:
    """Send an entry to the shared cache, if there is one."""
    url = _usable()
    if url is not None:
        with _noticed(url, warn):
            put_file(path, joined(url, FOLDER, path.name), moved)


def shared_entries(url: str) -> list[RemoteFile]:
    """List the entries behind a URL, the oldest first; raises GrainError (G746, G757)."""
    files = listed(joined(url, FOLDER), "*.safetensors")
    return sorted(files, key=lambda file: file.written)


def prune_shared(url: str, limit: int) -> int:
    """Delete the oldest entries behind a URL until at most ``limit`` bytes remain.

    Stores do not tell when a file was used last, so the oldest is the one that was sent first. A
    machine that reads an entry at that moment computes it again. Returns the bytes freed; raises
    GrainError (G746, G757, G758).
    """
    files = shared_entries(url)
    total, freed = sum(file.size for file in files), 0
    for file in files:
        if total - freed <= limit:
            break
        remove(joined(url, FOLDER, file.name))
        freed += file.size
    return freed


def _usable() -> str | None:
    url = shared_cache()
    return None if url in _BROKEN else url


@contextlib.contextmanager
def _noticed(url: str, warn: Warn) -> Iterator[None]:
    """Make an error of the store a warning, and use the store no more."""
    try:
        yield
    except (GrainError, OSError) as error:
        _BROKEN.add(url)
        why = error.diagnostics[0].message if isinstance(error, GrainError) else str(error)
        message = f"the shared cache {shown(url)} is not used from here on: {why}"
        warn(Diagnostic("G759", message, "The result is the same; only time is lost."))
