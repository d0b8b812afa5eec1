"""Read and write files behind URLs, whole or not at all, and try again after faults.

Credentials and endpoints are fsspec's business: its configuration files and environment variables,
and those of the library behind a protocol. Nothing of them is read or logged here.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from grainspec.diagnostics import GrainError, fail
from grainspec.whole_file import whole_file
from grainspec_runtime.whole_folder import whole_folder

T = TypeVar("T")

TRIES = 4
FIRST_PAUSE = 0.5
"""Seconds before the second try; each further pause is twice as long."""
_CHUNK = 1 << 20
_FOR_NOTHING = (FileNotFoundError, PermissionError, ImportError, ModuleNotFoundError)
"""Errors that another try does not cure."""


def is_url(place: str) -> bool:
    """Return whether a place is a URL, such as ``s3://bucket/clips``, rather than a path.

    >>> is_url("s3://bucket/a.mp4"), is_url("clips/a.mp4")
    (True, False)
    """
    return "://" in place


def joined(url: str, *parts: str) -> str:
    """Append parts to a URL.

    >>> joined("s3://bucket/out/", "runs", "a")
    's3://bucket/out/runs/a'
    """
    return "/".join([url.rstrip("/"), *parts])


def fetched_file(url: str, folder: Path) -> Path:
    """Copy a remote file into a folder, and return its path; a copy of the same version is kept.

    The version is the size and whatever else the store tells: checksum, time. The file is streamed
    and appears when it is whole: its size is compared with the store's. Raises GrainError (G746).
    """
    fs, path = _opened(url)
    facts = _tried(lambda: fs.info(path), url, "read")
    digest = hashlib.sha256(repr([url, _version(facts)]).encode()).hexdigest()[:24]
    place = folder / digest / PurePosixPath(path).name
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)

    def copy() -> Path:
        with whole_file(place) as new:
            _copy(fs, path, new, facts.get("size"))
        return place

    return _tried(copy, url, "read")


def fetched_folder(url: str, folder: Path) -> Path:
    """Copy the files of a remote folder into ``folder``, and return the path of the copy.

    The copy is that of all their versions: it appears when it is whole. Raises GrainError (G746).
    """
    fs, path = _opened(url)

    def find() -> dict[str, Any]:
        fs.invalidate_cache()
        found: dict[str, Any] = fs.find(path, detail=True)
        if not found:
            raise FileNotFoundError("there is no such folder, or it is empty")
        return found

    found = _tried(find, url, "read")
    versions = sorted([name, _version(facts)] for name, facts in found.items())
    place = folder / hashlib.sha256(repr([url, versions]).encode()).hexdigest()[:24]
    if place.exists():
        return place
    with whole_folder(place) as new:
        for name, facts in found.items():
            inside = PurePosixPath(name).relative_to(PurePosixPath(path))
            target = new.joinpath(*inside.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            _tried(partial(_copy, fs, name, target, facts.get("size")), url, "read")
    return place


def put_file(file: Path, url: str) -> None:
    """Send a file to a URL, whole or not at all; raises GrainError (G746).

    Object stores make an object visible when all of it has arrived. Elsewhere, the file is written
    under another name and then renamed.
    """
    fs, path = _opened(url)

    def send() -> None:
        atomic = {"s3", "s3a", "gs", "gcs", "abfs", "az", "memory"} & _protocols(fs)
        place = path if atomic else f"{path}.part"
        fs.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
        fs.put_file(str(file), place)
        if not atomic:
            fs.mv(place, path)
        fs.invalidate_cache()
        if fs.info(path).get("size") not in (None, file.stat().st_size):
            raise OSError("the file at the destination is not whole")

    _tried(send, url, "written")


def put_folder(folder: Path, url: str, *, last: str) -> None:
    """Send the files of a folder to a URL; ``last`` is sent after all others, as a sign of that.

    An older ``last`` is removed first. Raises GrainError (G746).
    """
    remove(joined(url, last))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in sorted(files, key=lambda path: path.name == last):
        put_file(path, joined(url, *path.relative_to(folder).parts))


def put_bytes(data: bytes, url: str) -> None:
    """Send bytes to a URL, whole or not at all; raises GrainError (G746)."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="grain-") as temporary:
        file = Path(temporary) / "data"
        file.write_bytes(data)
        put_file(file, url)


def get_bytes(url: str) -> bytes | None:
    """Read a small remote file; None if it does not exist. Raises GrainError (G746)."""
    fs, path = _opened(url)

    def read() -> bytes | None:
        try:
            fs.invalidate_cache()
            data: bytes = fs.cat_file(path)
        except FileNotFoundError:
            return None
        return data

    return _tried(read, url, "read")


def names_in(url: str) -> list[str]:
    """Return the names of what is in a remote folder; none if it does not exist."""
    fs, path = _opened(url)

    def names() -> list[str]:
        fs.invalidate_cache()
        try:
            return sorted(PurePosixPath(entry).name for entry in fs.ls(path, detail=False))
        except FileNotFoundError:
            return []

    return _tried(names, url, "read")


def remove(url: str) -> None:
    """Delete a remote file if it exists; raises GrainError (G746)."""
    fs, path = _opened(url)

    def delete() -> None:
        fs.invalidate_cache()
        if fs.exists(path):
            fs.rm_file(path)

    _tried(delete, url, "written")


def _version(facts: Mapping[str, Any]) -> list[str]:
    """Return what a store tells about the version of a file."""
    return [str(facts.get(name)) for name in ("size", "ETag", "LastModified", "mtime", "created")]


def _copy(fs: Any, path: str, new: Path, size: int | None) -> None:
    copied = 0
    with fs.open(path, "rb") as source, new.open("wb") as target:
        while chunk := source.read(_CHUNK):
            copied += target.write(chunk)
    if size is not None and copied != size:
        raise OSError(f"{copied} of {size} bytes arrived")


def _opened(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it."""
    try:
        import fsspec

        fs, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        message = f"{_shown(url)} cannot be opened: {_reason(error)}"
        cure = "Install `pip install 'grainspec[cluster]'` and fsspec's package for it, such as "
        raise fail("G746", message, cure + "`s3fs` for `s3://`.") from error
    return fs, path


def _protocols(fs: Any) -> set[str]:
    told = fs.protocol
    return {told} if isinstance(told, str) else set(told)


def _tried(act: Callable[[], T], url: str, what: str) -> T:
    """Do something, again after a pause if it fails; raises G746 after the last try."""
    pause = FIRST_PAUSE
    for left in reversed(range(TRIES)):
        try:
            return act()
        except GrainError:
            raise
        except Exception as error:
            if not left or isinstance(error, _FOR_NOTHING):
                message = f"{_shown(url)} cannot be {what}: {_reason(error)}"
                cure = "Check the address and your credentials, then give the command again."
                raise fail("G746", message, cure) from error
        time.sleep(pause)
        pause *= 2
    raise AssertionError("unreachable")


def _shown(url: str) -> str:
    """Return a URL without what may be a password in it."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _reason(error: BaseException) -> str:
    first, *_ = (str(error) or type(error).__name__).splitlines()
    return first[:200]
