"""Files written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file to write beside ``path``, which takes its place at the end, or vanishes.

    Whatever is raised inside, ``path`` is either as it was before or complete. Raises OSError where
    it cannot be written.
    """
    path = path.absolute()
    partial = path.parent / f".{path.name}.{os.getpid()}.part"
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
