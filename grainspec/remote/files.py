"""Read and write files behind URLs, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from grainspec.remote import sftp
from grainspec.remote.address import path_of
from grainspec.remote.store import OBJECT_STORES, check_writable, is_missing, tried
from grainspec.waiting import Waiting
from grainspec.whole_file import whole_file

Moved = Callable[[int, int], None]
"""Called with the megabytes of a file that have arrived, or the files, and those that will."""
_VERSION = (
    *("size", "ETag", "etag", "generation", "md5Hash", "Content-MD5"),
    *("LastModified", "Last-Modified", "mtime", "updated", "created"),
)
"""What stores tell about the version of a file."""


def fetched_file(url: str, folder: Path, *, quiet: bool = False) -> Path:
    """Copy a remote file into a folder, and return its path; a copy of the same version is kept.

    The version is the size and whatever else the store tells: checksum, time. The file is streamed
    and appears when it is whole: its size is compared with the store's, and its version with that
    before. On a terminal, a line shows its progress unless ``quiet``. Raises GrainError (G746,
    G757).
    """

    def fetch(fs: Any, path: str) -> Path:
        fs.invalidate_cache()
        facts = fs.info(path)
        version = version_of(facts)
        digest = hashlib.sha256(repr([url, version]).encode()).hexdigest()[:24]
        place = folder / digest / (path_of(url).name or "file")
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(place) as new:
                _copy(fs, path, facts.get("size"), new, unseen if quiet else None)
                fs.invalidate_cache()
                if version_of(fs.info(path)) != version:
                    raise OSError("the file was changed while it was read")
        with contextlib.suppress(OSError):
            os.utime(place.parent)  # when it was used last
        return place

    return tried(url, "read", fetch)


def copied_file(url: str, place: Path, moved: Moved | None = None) -> bool:
    """Copy a remote file to a path, whole or not at all; return whether it exists.

    ``moved`` receives the progress; by default it is a line on a terminal. Raises GrainError (G746,
    G757), OSError if the path cannot be written.
    """

    def copy(fs: Any, path: str) -> bool:
        fs.invalidate_cache()
        try:
            size = fs.info(path).get("size")
            with whole_file(place) as new:
                _copy(fs, path, size, new, moved)
        except FileNotFoundError as error:
            if is_missing(error):
                return False
            raise
        return True

    place.parent.mkdir(parents=True, exist_ok=True)
    return tried(url, "read", copy)


def put_file(file: Path, url: str, moved: Moved | None = None) -> None:
    """Send a file to a URL, whole or not at all; raises GrainError (G746, G757, G758).

    Object stores make an object visible when all of it has arrived. Elsewhere, the file is written
    under another name, which nobody reads, and then renamed.
    """

    partials: list[str] = []

    def send(fs: Any, path: str) -> None:
        told = fs.protocol
        shown = _progress(f"sending {file.name}: megabyte", moved)
        if OBJECT_STORES & ({told} if isinstance(told, str) else set(told)):
            fs.put_file(str(file), path, callback=shown)
        else:
            folder, _, name = path.rpartition("/")
            fs.makedirs(folder, exist_ok=True)
            partials.append(f"{folder}/.{name}.{secrets.token_hex(4)}.part")
            try:
                _write(fs, file, partials[-1], shown)
                fs.mv(partials[-1], path)
                partials.pop()
            finally:
                for partial in partials:  # also of earlier tries, whose connection was cut
                    with contextlib.suppress(Exception):
                        fs.rm_file(partial)
        fs.invalidate_cache()
        if fs.info(path).get("size") not in (None, file.stat().st_size):
            raise OSError("the file at the destination is not whole")

    check_writable(url)
    tried(url, "written", send)


def put_bytes(data: bytes, url: str) -> None:
    """Send bytes to a URL, whole or not at all; raises GrainError (G746, G757)."""
    with tempfile.TemporaryDirectory(prefix="grain-") as temporary:
        file = Path(temporary) / "data"
        file.write_bytes(data)
        put_file(file, url)


def get_bytes(url: str) -> bytes | None:
    """Read a small remote file; None if it does not exist. Raises GrainError (G746, G757)."""

    def read(fs: Any, path: str) -> bytes | None:
        fs.invalidate_cache()
        try:
            data: bytes = fs.cat_file(path)
        except FileNotFoundError as error:
            if not is_missing(error):
                raise
            return None
        return data

    return tried(url, "read", read)


def names_in(url: str) -> list[str]:
    """Return the names of what is in a remote folder; none if it does not exist."""

    def names(fs: Any, path: str) -> list[str]:
        fs.invalidate_cache()
        try:
            return sorted(PurePosixPath(entry).name for entry in fs.ls(path, detail=False))
        except FileNotFoundError as error:
            if not is_missing(error):
                raise
            return []

    return tried(url, "read", names)


def remove(url: str) -> None:
    """Delete a remote file if it exists; raises GrainError (G746, G757)."""

    def delete(fs: Any, path: str) -> None:
        fs.invalidate_cache()
        with contextlib.suppress(FileNotFoundError):
            fs.rm_file(path)

    tried(url, "written", delete)


def unseen(done: int, total: int) -> None:
    """Show no progress."""


def version_of(facts: Mapping[str, Any]) -> list[str]:
    """Return what a store tells about the version of a file."""
    return [str(facts.get(name)) for name in _VERSION]


def _copy(fs: Any, path: str, size: int | None, new: Path, moved: Moved | None = None) -> None:
    """Copy a file, and compare its size with the store's."""
    what = f"fetching {PurePosixPath(path).name.partition('?')[0]}: megabyte"
    shown = _progress(what, moved)
    if hasattr(fs, "ftp"):  # of which fsspec tells no progress
        shown.set_size(size)
        fs.ftp.get(path, str(new), lambda done, total: shown.absolute_update(done))
    else:
        fs.get_file(path, str(new), callback=shown)
    copied = new.stat().st_size
    if size is not None and copied != size:
        raise OSError(f"{copied} of {size} bytes arrived")


def _write(fs: Any, file: Path, path: str, shown: Any) -> None:
    """Write a file that nobody reads yet; raises OSError if it did not arrive whole."""
    size = file.stat().st_size
    if hasattr(fs, "ftp"):
        shown.set_size(size)
        sftp.send(fs.ftp, file, path, shown.absolute_update)
    else:
        fs.put_file(str(file), path, callback=shown)
    if fs.info(path).get("size") not in (None, size):
        raise OSError("the file did not arrive whole")


def _progress(what: str, moved: Moved | None) -> Any:
    """Return fsspec's callback that tells the progress of a transfer, in megabytes."""
    from fsspec.callbacks import Callback

    tell = moved or Waiting(what)

    class Shown(Callback):  # type: ignore[misc]  # fsspec has no annotations
        def call(self, hook_name: str | None = None, **kwargs: Any) -> None:
            if self.size:
                total = math.ceil(self.size / 1e6)
                tell(total if self.value >= self.size else int(self.value / 1e6), total)

    return Shown()
