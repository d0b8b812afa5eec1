"""Read a table of jobs: CSV, JSON lines or Parquet, a job or several variants a row."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from os.path import expanduser
from pathlib import Path
from typing import Any

from grainspec.cache_folder import fetched_files
from grainspec.diagnostics import fail
from grainspec.limits import MAX_JSON_VALUES
from grainspec.regular_file import require_regular
from grainspec.remote.address import (
    is_url,
    joined,
    parent_of,
    path_of,
    root_of,
    shown,
    without_file_protocol,
)
from grainspec.remote.files import fetched_file
from grainspec_runtime.batch.table_formats import READERS, BadTable

_OWN = ("spec", "clip", "base", "variant")
_FORMATS = "`.csv`, `.jsonl` or `.parquet`"
_INEXACT = 2.0**53
"""From which on a float may be a rounded integer."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table of jobs.

    spec, base, clip: absolute paths or URLs; clip is None for the spec's own. variant: one,
    several separated by commas, or ``all``; None for those that the batch is asked for. sets:
    overrides, from all other columns. names_spec: whether the spec is the row's own. place: of the
    row, such as ``jobs.csv, line 3``.
    """

    spec: Path | str
    base: str
    clip: str | None
    variant: str | None
    sets: tuple[str, ...]
    names_spec: bool = False
    place: str = field(default="", compare=False)


def folder_of(file: Path | str) -> str:
    """Return the folder of a file or of what is behind a URL."""
    return parent_of(file) if isinstance(file, str) else str(file.absolute().parent)


def normal(path: Path | str) -> Path:
    """Return a path absolute and without ``..``, so that a file has one; links are kept.

    So is a ``..`` after a link, since it leads to the folder of what is linked.
    """
    plain = Path(path).absolute()
    while ".." in plain.parts:
        at = plain.parts.index("..")
        if Path(*plain.parts[:at]).is_symlink():
            break
        plain = Path(*plain.parts[: max(1, at - 1)], *plain.parts[at + 1 :])
    return plain


def read_table(path: Path | str, spec: Path | str | None = None) -> Iterator[Row]:
    """Read a table row by row; its relative paths start at its own folder, also behind a URL.

    Columns: ``spec``, ``clip``, ``base`` (where relative paths in the spec start; default: the
    spec's folder) and ``variant``, all optional; every other column is an override, such as
    ``sampler.seed`` or ``target``. Empty cells count as missing; rows without any value are
    skipped. ``spec`` is for rows without one. Raises GrainError: G740 if the table cannot be read,
    two columns have the same name, a row has more cells than there are columns, or a row names no
    spec; G746 and G757 for URLs.
    """
    name = shown(str(path))
    reader = READERS.get(suffix_of(path))
    if reader is None:
        message = f"{name} is not a table of jobs: its name does not end in {_FORMATS}"
        raise fail("G740", message, f"Save it as {_FORMATS}.")
    try:
        file = fetched_file(path, fetched_files()) if isinstance(path, str) else path
        require_regular(file)
        for number, (where, cells) in enumerate(reader(file), start=1):
            if number > MAX_JSON_VALUES:
                cure = f"Divide it into tables of at most {MAX_JSON_VALUES:,} rows."
                raise BadTable(f"it has more than {MAX_JSON_VALUES:,} rows", cure)
            told = _told(cells, where)
            if told:
                yield _row(told, path, where, spec)
    except FileNotFoundError as error:
        message = f"the table {name} does not exist"
        raise fail("G740", message, "Check its path, and the working folder.") from error
    except OSError as error:
        message = f"the table {name} cannot be read: {error.strerror or error}"
        raise fail("G740", message, "Name a file that you may read.") from error
    except BadTable as error:
        message = f"the table {name} cannot be read: {error}"
        raise fail("G740", message, error.cure) from error


def suffix_of(path: Path | str) -> str:
    """Return the suffix of a path or a URL, in lower case."""
    return (path_of(path) if isinstance(path, str) else path).suffix.lower()


def _told(cells: Mapping[str, Any], where: str) -> dict[str, str]:
    """Return the cells of a row that have a value, as text, by the names of their columns."""
    named = {str(name).strip(): _text(value, str(name), where) for name, value in cells.items()}
    told = {name: text for name, text in named.items() if text}
    for name in told:
        if name not in _OWN and name.lower() in _OWN:
            reason = f"{where} has `{told[name]}` in the column `{name}`"
            raise BadTable(reason, f"Write `{name.lower()}` in lower case.")
    if "" in told:
        reason = f"{where} has `{told['']}` in a column without a name"
        raise BadTable(reason, "Name the column in the header, such as `sampler.seed`.")
    return told


def _row(told: Mapping[str, str], path: Path | str, where: str, default: Path | str | None) -> Row:
    place = folder_of(path)
    spec = _absolute(place, told["spec"]) if "spec" in told else default
    if spec is None:
        message = f"{where} of {shown(str(path))} names no spec"
        raise fail("G740", message, "Add a column `spec`, or name one: `grain batch edit.grain …`.")
    if not is_url(str(spec)):
        spec = normal(spec)
    clip = told.get("clip")
    clip = None if clip is None else _absolute(place, clip)
    base = _absolute(place, told["base"]) if "base" in told else folder_of(spec)
    sets = tuple(f"{name}={text}" for name, text in told.items() if name not in _OWN)
    at = f"{shown(str(path))}, {where}"
    return Row(spec, base, clip, told.get("variant"), sets, "spec" in told, at)


def _absolute(place: str, written: str) -> str:
    """Return a path or URL that is written in a table whose folder, or its URL, is ``place``."""
    written = expanduser(without_file_protocol(written))
    if is_url(written):
        return written
    if is_url(place) and not Path(written).is_absolute():
        return joined(root_of(place), posixpath.normpath(path_of(place).joinpath(written)))
    return str(normal(Path(place) / written))


def _text(value: object, name: str, where: str) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict | bytes):
        reason = f"{where}: `{name}` has {value!r:.60}, which is not one value"
        raise BadTable(reason, "Write a text or a number in each cell.")
    if isinstance(value, float) and value != value:
        return ""  # NaN: a missing cell
    if isinstance(value, float) and value.is_integer():
        if abs(value) >= _INEXACT:
            reason = f"{where}: `{name}` has a floating-point number from 2^53, {value:.0f}, "
            cure = "Write whole numbers without `.0` or an exponent, in Parquet as int64 or text."
            raise BadTable(f"{reason}which may be a rounded integer", cure)
        return str(int(value))  # columns with missing cells become floats in many programs
    return str(value).strip()
