"""Read a table of jobs: CSV, JSON lines or Parquet, a job or several variants a row."""

from __future__ import annotations

import csv
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grainspec.cache_folder import fetched_files
from grainspec.diagnostics import GrainError, fail
from grainspec.limits import MAX_JSON_VALUES
from grainspec.regular_file import json_value, require_regular
from grainspec.remote.address import is_url, joined, parent_of, path_of, root_of, shown
from grainspec.remote.files import fetched_file

_OWN = ("spec", "clip", "base", "variant")
_FORMATS = "`.csv`, `.jsonl` or `.parquet`"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table of jobs.

    spec, base, clip: absolute paths or URLs; clip is None for the spec's own. variant: None for
    those that the batch is asked for. sets: overrides, from all other columns.
    """

    spec: Path | str
    base: str
    clip: str | None
    variant: str | None
    sets: tuple[str, ...]


def folder_of(file: Path | str) -> str:
    """Return the folder of a file or of what is behind a URL."""
    return parent_of(file) if isinstance(file, str) else str(file.absolute().parent)


def read_table(path: Path | str, spec: Path | str | None = None) -> Iterator[Row]:
    """Read a table row by row; its relative paths start at its own folder, also behind a URL.

    Columns: ``spec``, ``clip``, ``base`` (where relative paths in the spec start; default: the
    spec's folder) and ``variant``, all optional; every other column is an override, such as
    ``sampler.seed`` or ``target``. Empty cells count as missing. ``spec`` is for rows without one.
    Raises GrainError: G740 if the table cannot be read, two columns have the same name, a row has
    more cells than there are columns, or a row names no spec; G746 and G757 for URLs.
    """
    readers = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    name = shown(str(path))
    reader = readers.get(suffix_of(path))
    if reader is None:
        message = f"{name} is not a table of jobs: its name does not end in {_FORMATS}"
        raise fail("G740", message, f"Save it as {_FORMATS}.")
    try:
        file = fetched_file(path, fetched_files()) if isinstance(path, str) else path
        require_regular(file)
        for number, cells in enumerate(reader(file), start=1):
            if number > MAX_JSON_VALUES:
                raise ValueError("it has too many rows")
            yield _row(cells, path, number, spec)
    except GrainError:
        raise
    except (OSError, ValueError, csv.Error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = f"the table {name} cannot be read: {reason}"
        raise fail("G740", message, "Write a header such as `clip,spec,sampler.seed`.") from error


def suffix_of(path: Path | str) -> str:
    """Return the suffix of a path or a URL, in lower case."""
    return (path_of(path) if isinstance(path, str) else path).suffix.lower()


def _row(
    cells: Mapping[str, Any], path: Path | str, number: int, default: Path | str | None
) -> Row:
    named = {str(name).strip(): _text(value, str(name)) for name, value in cells.items()}
    told = {name: text for name, text in named.items() if text}
    if "" in told:
        raise ValueError(f"row {number} has `{told['']}` in a column without a name")
    place = folder_of(path)
    spec = _absolute(place, told["spec"]) if "spec" in told else default
    if spec is None:
        message = f"row {number} of {shown(str(path))} names no spec"
        raise fail("G740", message, "Add a column `spec`, or name one: `grain batch edit.grain …`.")
    if not is_url(str(spec)):
        spec = Path(spec).absolute()
    clip = told.get("clip")
    clip = None if clip is None else _absolute(place, clip)
    base = _absolute(place, told["base"]) if "base" in told else folder_of(spec)
    sets = tuple(f"{name}={text}" for name, text in told.items() if name not in _OWN)
    return Row(spec, base, clip, told.get("variant"), sets)


def _absolute(place: str, written: str) -> str:
    """Return a path or URL that is written in a table whose folder, or its URL, is ``place``."""
    if is_url(written) or Path(written).is_absolute():
        return written
    if is_url(place):
        return joined(root_of(place), posixpath.normpath(path_of(place).joinpath(written)))
    return str((Path(place) / written).absolute())


def _text(value: object, name: str) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        raise ValueError(f"`{name}` has {value!r:.60}, which is not one value")
    if isinstance(value, float) and value != value:
        return ""  # NaN: a missing cell
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # columns with missing cells become floats in many programs
    return str(value).strip()


def _csv(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        _require_distinct(reader.fieldnames or ())
        for row in reader:
            more = [cell for cell in row.pop(None, []) if cell.strip()]
            if more:
                where = f"line {reader.line_num} has more cells than the header has columns"
                raise ValueError(f"{where}: `{more[0].strip()}`; put a text with commas in quotes")
            yield row


def _require_distinct(names: Sequence[str]) -> None:
    stripped = [name.strip() for name in names]
    for name in stripped:
        if name and stripped.count(name) > 1:
            raise ValueError(f"several columns are named `{name}`")


def _jsonl(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                value = json_value(line.encode())
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
            if not isinstance(value, dict):
                raise ValueError(f"line {number} is not a JSON object")
            yield value


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        _require_distinct(file.schema_arrow.names)
        for batch in file.iter_batches():
            yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
