"""The manifest of a batch: a Parquet file with a row for each job that ended.

While a batch runs, rows are added as small Parquet files in ``manifest``, each written whole:
DuckDB and pandas read the folder as one table. At the end, also of a batch that is interrupted or
resumed, they are put together in ``manifest.parquet``, with the last row of each job.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from grainspec.diagnostics import fail
from grainspec.whole_file import whole_file
from grainspec_runtime.batch.rows import COLUMNS, DONE, SET_ASIDE

FILE, PARTS = "manifest.parquet", "manifest"
_KINDS = {
    "text": pa.string(),
    "texts": pa.list_(pa.string()),
    "integer": pa.int64(),
    "number": pa.float64(),
    "truth": pa.bool_(),
    "time": pa.timestamp("ms", tz="UTC"),
}
SCHEMA = pa.schema([(name, _KINDS[kind]) for name, kind in COLUMNS.items()])
_NEEDED = ("job", "state")
"""Columns that every version writes."""
_ROWS = 200
"""A part is written for so many rows, or when rows have waited for some time: the longer the batch
runs the longer, so that a night's batch does not make thousands of parts."""
_SECONDS, _MOST_SECONDS, _SHARE = 2.0, 60.0, 0.01


class Manifest:
    """The manifest in a batch's folder; it is written by one process at a time.

    Raises GrainError (G747) if the rows that are there cannot be read: they are needed at the end.
    """

    def __init__(self, folder: Path) -> None:
        for _ in _tables(folder, None):
            pass
        self.folder = folder
        self._new: list[Mapping[str, Any]] = []
        self._begun = self._last = time.monotonic()
        # A new part comes after all others, whatever the clock says, perhaps on another machine.
        self._number = max((int(part.stem) for part in _parts(folder)), default=0)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add the row of a job that ended; it is on the disk after :meth:`flush`."""
        unknown = row.keys() - COLUMNS.keys()
        if unknown:
            raise ValueError(f"the manifest has no column {', '.join(sorted(unknown))}")
        self._new.append({"finished": datetime.now(UTC), **row})
        self.flush_if_due()

    def flush_if_due(self) -> bool:
        """Write new rows if there are many, or they have waited long; return whether it did."""
        now = time.monotonic()
        patience = min(_MOST_SECONDS, max(_SECONDS, _SHARE * (now - self._begun)))
        if len(self._new) >= _ROWS or (self._new and now - self._last >= patience):
            self.flush()
            return True
        return False

    def flush(self) -> None:
        """Write the new rows as a part."""
        self._last = time.monotonic()
        if not self._new:
            return
        place = self.folder / PARTS
        place.mkdir(parents=True, exist_ok=True)
        self._number = max(self._number + 1, time.time_ns())
        rows = [{name: row.get(name) for name in COLUMNS} for row in self._new]
        _write(pa.Table.from_pylist(rows, SCHEMA), place / f"{self._number:020}.parquet")
        self._new = []

    def complete(self) -> None:
        """Put all parts together in one file, with the last row of each job."""
        self.flush()
        parts = _parts(self.folder)
        if parts:
            _write_whole(self.folder, _table([self.folder]), parts)


def take_over(folder: Path, other: Path) -> None:
    """Add the rows of another manifest, such as that of another machine; of each job the later.

    Raises GrainError (G747) if a file is not a manifest.
    """
    if exists(other):
        parts, table = _parts(folder), _table([folder, other])
        folder.mkdir(parents=True, exist_ok=True)
        finished = pc.fill_null(table.column("finished"), datetime.fromtimestamp(0, UTC))
        _write_whole(folder, table.take(pc.sort_indices(finished)), parts)


def check(row: Mapping[str, Any]) -> None:
    """Raise ValueError or TypeError if a row's values are not of the kinds of their columns."""
    pa.Table.from_pylist([{name: row.get(name) for name in COLUMNS}], SCHEMA)


def latest(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the last row of each job, by the job's digest, in the order of their first rows.

    Raises GrainError (G747) if a file is not a manifest.
    """
    found: dict[str, dict[str, Any]] = {}
    for row in _rows(folder, None):
        found[row["job"]] = row
    return found


def states(folder: Path) -> dict[str, str]:
    """Return the state of each job that ended, by its digest."""
    return {row["job"]: row["state"] for row in _rows(folder, ["job", "state"])}


def exists(folder: Path) -> bool:
    """Return whether a folder has a manifest, complete or in parts."""
    return (folder / FILE).is_file() or bool(_parts(folder))


def _table(folders: Sequence[Path]) -> pa.Table:
    tables = [table for folder in folders for table in _tables(folder, None)]
    return pa.concat_tables([SCHEMA.empty_table(), *tables])


def _write_whole(folder: Path, table: pa.Table, parts: Sequence[Path]) -> None:
    """Write the last row of each job to one file, and delete the parts that the rows are of.

    They are not made of Python's objects, which take ten times the memory.
    """
    last = {job: row for row, job in enumerate(table.column("job").to_pylist())}
    _write(table.take(list(last.values())), folder / FILE)
    for part in parts:
        part.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (folder / PARTS).rmdir()


def _rows(folder: Path, columns: list[str] | None) -> Iterator[dict[str, Any]]:
    for table in _tables(folder, columns):
        for batch in table.to_batches(max_chunksize=1000):
            yield from batch.to_pylist()


def _tables(folder: Path, columns: list[str] | None) -> Iterator[pa.Table]:
    whole = folder / FILE
    for path in [*([whole] if whole.is_file() else []), *_parts(folder)]:
        try:
            yield _of_schema(parquet.ParquetFile(path).read(columns=columns), columns)
        except FileNotFoundError:  # put together in the meantime
            continue
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            message = f"the manifest {path} cannot be read: {str(error).splitlines()[0]}"
            cure = "Delete that file, and give the command of the batch again."
            raise fail("G747", message, cure) from error


def _of_schema(table: pa.Table, names: list[str] | None) -> pa.Table:
    """Return these columns, or all, with the schema's types: other programs save it with others.

    Columns that are missing, as in manifests of earlier versions, are null. Raises ValueError or
    pa.ArrowException for a table that is not a manifest's.
    """
    schema = pa.schema([SCHEMA.field(name) for name in names or SCHEMA.names])
    for name in _NEEDED:
        if name not in table.column_names:
            raise ValueError(f"it has no column `{name}`")
    made = [
        _of_type(table, field)
        if field.name in table.column_names
        else pa.nulls(len(table), field.type)
        for field in schema
    ]
    found = pa.Table.from_arrays(made, schema=schema)
    found.validate(full=True)
    if found.column("job").null_count:
        raise ValueError("column `job` has empty cells")
    for state in found.column("state").unique().to_pylist():
        if state not in (DONE, SET_ASIDE):
            said = "an empty cell" if state is None else f"invalid value `{state}`"
            raise ValueError(f"column `state`: {said}; it is `{DONE}` or `{SET_ASIDE}`")
    return found


def _of_type(table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    try:
        return table.column(field.name).cast(field.type)
    except pa.ArrowException as error:
        raise ValueError(f"column `{field.name}`: {error}") from error


def _parts(folder: Path) -> list[Path]:
    return sorted((folder / PARTS).glob("[0-9]*.parquet"))


def _write(table: pa.Table, path: Path) -> None:
    with whole_file(path) as partial:
        parquet.write_table(table, partial)
