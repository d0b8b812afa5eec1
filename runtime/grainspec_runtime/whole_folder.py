"""Folders written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from grainspec.diagnostics import fail


@contextmanager
def whole_folder(folder: Path, *, stale: Collection[str] = (), last: str = "") -> Iterator[Path]:
    """Return a temporary folder to write to, which becomes ``folder`` at the end of the block.

    If an exception is raised inside, the temporary folder is deleted and ``folder`` is unchanged. A
    folder that exists stays the same folder, because it may be a mount or a link: its files are
    replaced, those named ``stale`` are removed if there are no new ones, and the file named
    ``last`` is removed first and written last, as a sign that the folder is whole.

    Raises GrainError (G310) where the folder cannot be written.
    """
    folder = folder.resolve()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        message = f"{folder} cannot be written: {error.strerror}"
        raise fail("G310", message, "Choose another folder: `-o FOLDER`.") from error
    try:
        yield partial
        try:
            _move(partial, folder, stale, last)
        except KeyboardInterrupt:
            _move(partial, folder, stale, last)  # finish these few renames first
            raise
    except OSError as error:
        message = f"{folder} cannot be written: {error.strerror}"
        raise fail("G310", message, "Is the disk full?") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _move(partial: Path, folder: Path, stale: Collection[str], last: str) -> None:
    """Replace the files of ``folder`` by those of ``partial``; can be called again."""
    if not partial.exists():
        return
    partial.chmod(0o777 & ~_umask())  # mkdtemp allows only the owner
    if not folder.exists():
        partial.rename(folder)
        return
    files = {path.name: path for path in partial.iterdir()}
    if last:
        (folder / last).unlink(missing_ok=True)
    for old in folder.iterdir():
        if old.name in stale and old.name not in files:
            old.unlink()
    for name in sorted(files, key=lambda name: name == last):
        shutil.move(files[name], folder / name)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
