"""Copy folders behind URLs, and send folders there: each file whole, and together."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from grainspec.remote.address import joined, protocol_of
from grainspec.remote.files import Moved, fetched_file, put_file, remove, unseen, version_of
from grainspec.remote.store import OBJECT_STORES, tried
from grainspec.waiting import Waiting
from grainspec.whole_file import PARTIAL

_AT_ONCE = 8
"""Files of a folder that are fetched at once, from stores whose libraries are made for that."""


@dataclass(frozen=True)
class RemoteFile:
    """A file in a remote folder: its relative path, its bytes, when it was written, its version."""

    name: str
    size: int
    written: float
    version: tuple[str, ...]


def listed(url: str, pattern: str = "*") -> list[RemoteFile]:
    """List the files in a remote folder and those below it, by their relative paths.

    ``pattern`` is matched by the relative paths; its ``*`` stands for any text. Files that are not
    yet complete are left out. Empty if there is no such folder. Raises GrainError (G746, G757).
    """

    def find(fs: Any, path: str) -> list[RemoteFile]:
        fs.invalidate_cache()
        files: Mapping[str, Any] = fs.find(path, detail=True)
        root = PurePosixPath(path)
        inside = []
        for place, facts in sorted(files.items()):
            name = str(PurePosixPath(place).relative_to(root))
            is_partial = fnmatch(PurePosixPath(place).name, PARTIAL)
            if place == path or is_partial or not fnmatch(name, pattern):
                continue
            if facts.get("size") is None:  # a web server's list has names alone
                facts = fs.info(place)
            size, version = int(facts.get("size") or 0), tuple(version_of(facts))
            inside.append(RemoteFile(name, size, _written(facts), version))
        return inside

    return tried(url, "read", find)


def fetched_folder(url: str, folder: Path) -> Path:
    """Copy the files of a remote folder into ``folder``, and return the path of the copy.

    The copy is that of all their versions: it appears when it is whole. Raises GrainError (G746,
    G757).
    """
    files = listed(url)
    if not files:
        tried(url, "read", _refuse_empty)
    facts = [url, [(file.name, file.version) for file in files]]
    return snapshot(folder, facts, {file.name: joined(url, file.name) for file in files})


def snapshot(
    folder: Path, facts: object, files: Mapping[str, str], local: Mapping[str, Path] | None = None
) -> Path:
    """Return a folder with copies of remote files, and of ``local`` ones, by their relative paths.

    It has the name of a hash of ``facts``, which tell the files' versions, and appears when it is
    whole; the copies share their space with those of :func:`fetched_file`.
    """
    place = folder / hashlib.sha256(repr(facts).encode()).hexdigest()[:24]
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with _new_folder(place) as new:
            for name, file in chain(_fetched(files, folder), (local or {}).items()):
                target = new.joinpath(*PurePosixPath(name).parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(file, target)
    with contextlib.suppress(OSError):
        os.utime(place)
    return place


def put_folder(folder: Path, url: str, *, last: str, sent: Moved | None = None) -> None:
    """Send the files of a folder to a URL; those named ``last`` follow all others, as a sign.

    Older ones of that name are removed first. ``sent`` receives the number of files that were sent,
    and that of all. Raises GrainError (G746, G757, G758).
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    places = {path: joined(url, *path.relative_to(folder).parts) for path in files}
    for place in {joined(url, last), *(places[path] for path in files if path.name == last)}:
        remove(place)
    for done, path in enumerate(sorted(files, key=lambda path: path.name == last), 1):
        put_file(path, places[path], unseen if sent else None)
        if sent:
            sent(done, len(files))


def _fetched(files: Mapping[str, str], folder: Path) -> Iterator[tuple[str, Path]]:
    """Fetch files, several at once where that is faster, and give their names and copies."""
    waiting, alone = Waiting("fetching file"), len(files) == 1

    def fetch(name: str) -> Path:
        return fetched_file(files[name], folder, quiet=not alone)

    at_once = {protocol_of(url) for url in files.values()} <= {*OBJECT_STORES, "http", "https"}
    with ThreadPoolExecutor(_AT_ONCE if at_once else 1) as pool:
        try:
            for done, (name, file) in enumerate(zip(files, pool.map(fetch, files), strict=True), 1):
                waiting(done, len(files))
                yield name, file
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _refuse_empty(fs: Any, path: str) -> None:
    raise FileNotFoundError("there is no such folder, or it is empty")


def _link(file: Path, target: Path) -> None:
    """Make a file appear at another path, without a copy where the disk can."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)


@contextmanager
def _new_folder(place: Path) -> Iterator[Path]:
    """Give a new folder that gets its name at the end, unless another process was first."""
    new = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".part", dir=place.parent))
    try:
        yield new
        new.chmod(place.parent.stat().st_mode & 0o777)  # others may use it, as they may the folder
        try:
            new.rename(place)
        except OSError:
            if not place.exists():
                raise
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _written(facts: Mapping[str, Any]) -> float:
    """Return when a file was written, in seconds since 1970; 0 if the store does not tell."""
    for name in ("LastModified", "mtime", "updated", "created"):
        told = facts.get(name)
        with contextlib.suppress(ValueError):
            told = datetime.fromisoformat(told) if isinstance(told, str) else told
        if isinstance(told, datetime):
            return told.timestamp()
        if isinstance(told, int | float):
            return float(told)
    return 0.0
