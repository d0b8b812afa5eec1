"""Read files that anyone may have made: regular files only, and never more than a limit.

A pipe would block, a device may never end, and a folder or a socket is no file at all.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any

from grainspec.limits import MAX_FILES, MAX_JSON_BYTES, MAX_JSON_NODES, MAX_JSON_VALUES

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
_WITHOUT_WAITING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class TooLarge(ValueError):
    """A file exceeds a limit on its size."""


def regular(path: Path) -> bool:
    """Whether ``path`` is a regular file, or a link to one; opens nothing.

    >>> regular(Path(__file__)), regular(Path("/dev/null")), regular(Path("a" * 5000))
    (True, False, False)
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):  # such as a name that is too long, or one with a null character
        return False


def files_in(folder: Path, most: int = MAX_FILES) -> list[Path]:
    """What is in a folder; raises OSError if it cannot be read, TooLarge for too many files."""
    found = list(islice(folder.iterdir(), most + 1))
    if len(found) > most:
        raise TooLarge(f"it has more than {most:,} files")
    return found


def require_regular(path: Path) -> None:
    """Raise OSError unless ``path`` is a regular file: for libraries that open files by name."""
    _require(path.stat().st_mode, path)


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file to read bytes; raise OSError for anything else, without waiting."""
    descriptor = os.open(path, _WITHOUT_WAITING)
    try:
        _require(os.fstat(descriptor).st_mode, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(path: Path, most: int) -> bytes:
    """Read a regular file of at most ``most`` bytes.

    Raises OSError if it cannot be read, and TooLarge if it is larger.
    """
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise TooLarge(f"the file is larger than {most / 1e6:.0f} MB")
    return content


def read_json(path: Path, *, most: int = MAX_JSON_BYTES, bounded: bool = False) -> Any:
    """Read a JSON file; its size, depth and number of values are limited.

    ``bounded`` also refuses numbers beyond 64 bits, infinity and NaN. Raises OSError if the file
    cannot be read, and ValueError if it is not JSON or exceeds a limit.
    """
    return json_value(read_bytes(path, most), bounded=bounded)


def json_value(content: bytes, *, bounded: bool = False, distinct: bool = False) -> Any:
    """Parse JSON of anyone's; its depth and number of values are limited.

    ``bounded`` also refuses numbers beyond 64 bits, infinity and NaN; ``distinct`` an object with
    several values of one name, whatever the spaces around it. Raises ValueError if it is not JSON
    or exceeds a limit.
    """
    nodes = content.count(b"{") + content.count(b"[")
    if nodes > MAX_JSON_NODES or content.count(b",") > MAX_JSON_VALUES:
        raise TooLarge(f"the file has more than {MAX_JSON_VALUES:,} values")
    text = content.decode("utf-8-sig")
    hooks: dict[str, Any] = {}
    if bounded:
        hooks = {"parse_int": _integer, "parse_float": _finite, "parse_constant": _finite}
    if distinct:
        hooks["object_pairs_hook"] = _distinct
    try:
        return json.loads(text, **hooks)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _integer(digits: str) -> int:
    if len(digits) > 21 or not -(1 << 63) <= int(digits) < 1 << 64:
        raise ValueError(f"the number {digits[:21]}… is out of range")
    return int(digits)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names: set[str] = set()
    for name, _ in pairs:
        if name.strip() in names:
            raise ValueError(f"it has several values of `{name.strip()[:60]}`")
        names.add(name.strip())
    return dict(pairs)


def _finite(text: str) -> float:
    number = float(text)
    if not abs(number) < 1e30:
        raise ValueError(f"the number {text[:21]} is out of range")
    return number


def _require(mode: int, path: Path) -> None:
    kind = stat.S_IFMT(mode)
    if kind != stat.S_IFREG:
        message = f"it is {_KINDS.get(kind, 'something else')}, not a regular file"
        raise OSError(errno.EINVAL, message, str(path))
