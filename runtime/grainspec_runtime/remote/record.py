"""A batch whose results go to a URL: its manifest and page, on this machine and there."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grainspec_runtime.remote.files import get_bytes, is_url, joined, put_file

_KEPT = ("manifest.parquet", "index.html", "batch.json")


@contextmanager
def recorded(output: str, folder: Path) -> Iterator[Path]:
    """Give the local folder of a batch's record; for a URL it is sent there at the end.

    For a path it is the path itself. For a URL, a manifest that is already there is taken over, so
    that any machine can resume the batch. Raises GrainError (G746).
    """
    if not is_url(output):
        yield Path(output).absolute()
        return
    place = _copy(output, folder)
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


def record_to_read(output: str, folder: Path) -> Path:
    """Return the local folder of a batch's record, as far as there is one.

    For a URL it is the record of a batch that runs on this machine, or a copy of what its end left
    behind the URL. Raises GrainError (G746) if the URL cannot be read.
    """
    if not is_url(output):
        return Path(output)
    place = _copy(output, folder)
    if not _has_ended(place / _KEPT[2]):
        return place
    shown = place.with_name(f"{place.name}-shown")
    for name in _KEPT:
        if (content := get_bytes(joined(output, name))) is not None:
            shown.mkdir(parents=True, exist_ok=True)
            (shown / name).write_bytes(content)
    return shown


def _copy(output: str, folder: Path) -> Path:
    return folder.absolute() / hashlib.sha256(output.encode()).hexdigest()[:24]


def _has_ended(file: Path) -> bool:
    """Return whether a batch has ended, by its ``batch.json``; True if there is none."""
    with contextlib.suppress(OSError, ValueError):
        facts = json.loads(file.read_bytes())
        return not isinstance(facts, dict) or bool(facts.get("ended", True))
    return True
