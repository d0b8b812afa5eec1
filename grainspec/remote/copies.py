"""The copies of remote files on this machine: how much they take, and deleting those not in use."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

UNUSED = 86_400.0
"""Seconds since its last use after which a copy counts as unused: a run may take long."""


def size_of_copies(folder: Path) -> int:
    """Return the bytes that the copies in a folder take."""
    # Each file once: the folders of specs share their files with others.
    return sum({(it.st_dev, it.st_ino): it.st_size for it in _facts(folder)}.values())


def clear_copies(folder: Path, unused: float = UNUSED) -> int:
    """Delete the copies that were not used for so many seconds, and return the bytes freed."""
    before = size_of_copies(folder)
    for place in list(folder.iterdir()) if folder.is_dir() else []:
        with contextlib.suppress(OSError):
            if time.time() - place.stat().st_mtime > unused:
                shutil.rmtree(place)
    return before - size_of_copies(folder)


def _facts(folder: Path) -> Iterator[os.stat_result]:
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                yield path.stat()
