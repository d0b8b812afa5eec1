"""A batch whose results go to a URL: its manifest and page, on this machine and there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grainspec.remote.address import is_url, joined
from grainspec.remote.files import get_bytes, put_file
from grainspec.remote.store import check_writable

_KEPT = ("manifest.parquet", "index.html", "batch.json")


@contextmanager
def recorded(output: str, folder: Path) -> Iterator[Path]:
    """Give the local folder of a batch's record; for a URL it is sent there at the end.

    For a path it is the path itself. For a URL, a manifest that is already there is taken over, so
    that any machine can resume the batch. Raises GrainError (G746, G757, G758).
    """
    if not is_url(output):
        yield Path(output).absolute()
        return
    check_writable(output)
    place = folder.absolute() / hashlib.sha256(output.encode()).hexdigest()[:24]
    place.mkdir(parents=True, exist_ok=True)
    manifest = get_bytes(joined(output, _KEPT[0]))
    if manifest is not None and not (place / _KEPT[0]).exists():
        (place / _KEPT[0]).write_bytes(manifest)
    try:
        yield place
    finally:
        for name in _KEPT:
            if (place / name).is_file():
                put_file(place / name, joined(output, name))
