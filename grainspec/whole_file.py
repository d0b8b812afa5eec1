"""Write files atomically: whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary file next to ``path``, which replaces it at the end.

    If an exception is raised inside, the temporary file is deleted and ``path`` stays as it was.
    Raises OSError if the file cannot be written.
    """
    path = path.absolute()
    partial = path.parent / f".{path.name}.{os.getpid()}.part"
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
