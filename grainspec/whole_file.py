"""Write files atomically: whole or not at all."""

from __future__ import annotations

import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grainspec.file_lock import locked_file, remove_abandoned

PARTIAL = ".*.part"
"""The glob pattern of partial files."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary file next to ``path``, which replaces it at the end.

    If an exception is raised inside, the temporary file is deleted and ``path`` stays as it was.
    What a killed process left of the same file is deleted. Raises OSError if the file cannot be
    written.
    """
    path = path.absolute()
    remove_abandoned(path.parent.glob(f".{glob.escape(path.name)}.*.part"))
    partial = path.parent / f".{path.name}.{secrets.token_hex(4)}.part"
    file = locked_file(partial)
    if file and os.name == "nt":
        file.close()  # an open file cannot be renamed there
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
        if file:
            file.close()
