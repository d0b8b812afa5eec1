"""A batch whose results go to a URL: its manifest and page, on this machine and there.

While the batch runs, the rows of jobs that ended and ``batch.json`` are sent every few seconds, so
that any machine can tell how far it is, and resume it if this one dies.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from grainspec.diagnostics import GrainError
from grainspec.remote.address import is_url, joined
from grainspec.remote.files import copied_file, names_in, put_bytes, put_file, remove, unseen
from grainspec.remote.store import check_writable
from grainspec_runtime.whole_folder import claimed

_WHOLE, _PARTS, _PROGRESS = "manifest.parquet", "manifest", "batch.json"
_KEPT = (_WHOLE, "index.html", _PROGRESS)
SECONDS = 10.0
"""Between two times that news is sent."""


Merge = Callable[[Path, Path], None]
"""Adds the rows of the manifest in the second folder to that in the first."""


def _raise(error: GrainError) -> None:
    raise error


@contextmanager
def recorded(
    output: str,
    folder: Path,
    merge: Merge,
    unsent: Callable[[GrainError], None] = _raise,
) -> Iterator[Path]:
    """Give the local folder of a batch's record; for a URL it is sent there, now and at the end.

    For a path it is the path itself. For a URL, the rows that are already there are merged with
    those of this machine, so that any machine can resume the batch, and each knows of the others.
    Raises GrainError (G746, G757, G758), before the block if nothing can be written there. At the
    end, ``unsent`` receives the error if the record could not be sent: it stays on this machine,
    and the next batch with the same URL sends it.
    """
    if not is_url(output):
        yield Path(output).absolute()
        return
    check_writable(output)
    place = folder.absolute() / hashlib.sha256(output.encode()).hexdigest()[:24]
    with claimed(place):  # already now: rows are merged here before the batch claims it itself
        _take_over(place, output, merge)
        _announce(place, output)
        try:
            with _news_sent(place, output):
                yield place
        finally:
            try:
                _send(place, output, merge)
            except GrainError as error:
                unsent(error)


def _take_over(place: Path, output: str, merge: Merge) -> None:
    """Merge the rows that are behind the URL now with those of this machine."""
    with tempfile.TemporaryDirectory(prefix="grain-") as temporary:
        fetch_record(output, Path(temporary))
        merge(place, Path(temporary))


def _send(place: Path, output: str, merge: Merge) -> None:
    """Send the record at the end, with the rows of other machines that ended in the meantime."""
    parts = names_in(joined(output, _PARTS))
    _take_over(place, output, merge)
    for name in _KEPT:
        if (place / name).is_file():
            put_file(place / name, joined(output, name))
    if (place / _WHOLE).is_file():
        for name in parts:  # their rows are in the whole manifest now
            remove(joined(output, _PARTS, name))


def _announce(place: Path, output: str) -> None:
    """Send ``batch.json`` before any work is done, since it is lost if it cannot be written."""
    known = place / _PROGRESS
    if known.is_file():
        put_file(known, joined(output, _PROGRESS), unseen)
    else:
        facts = json.dumps({"jobs": 0, "updated": time.time()})
        put_bytes(facts.encode(), joined(output, _PROGRESS))


def fetch_record(url: str, place: Path) -> None:
    """Copy the manifest of a batch, and the parts of one that runs or was killed, to a folder.

    Also ``batch.json``. Raises GrainError (G746, G757).
    """
    for name in (_WHOLE, _PROGRESS):
        copied_file(joined(url, name), place / name)
    for name in names_in(joined(url, _PARTS)):
        if name.endswith(".parquet"):
            copied_file(joined(url, _PARTS, name), place / _PARTS / name)


@contextmanager
def _news_sent(place: Path, url: str) -> Iterator[None]:
    """Send parts of the manifest and ``batch.json`` from time to time inside the block."""
    ended = threading.Event()

    def send() -> None:
        sent: dict[Path, int] = {}
        while not ended.wait(SECONDS):
            for path in [*sorted((place / _PARTS).glob("[0-9]*.parquet")), place / _PROGRESS]:
                with contextlib.suppress(GrainError, OSError):  # the end reports what still fails
                    changed = path.stat().st_mtime_ns
                    if sent.get(path) != changed:
                        put_file(path, joined(url, *path.relative_to(place).parts), unseen)
                        sent[path] = changed

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
