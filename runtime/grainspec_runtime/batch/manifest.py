"""The manifest of a batch: a Parquet file with a row for each job that ended.

While a batch runs, rows are added as small Parquet files in ``manifest``, each written whole:
DuckDB and pandas read the folder as one table. At the end, and when the batch is resumed, they are
put together in ``manifest.parquet``, with the last row of each job.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from grainspec.diagnostics import fail
from grainspec.whole_file import whole_file
from grainspec_runtime.batch.rows import COLUMNS

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
_ROWS, _SECONDS = 200, 2.0
"""A part is written for so many rows, or after so many seconds."""


class Manifest:
    """The manifest in a batch's folder; it is written by one process at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._new: list[Mapping[str, Any]] = []
        self._last = time.monotonic()

    def add(self, row: Mapping[str, Any]) -> None:
        """Add the row of a job that ended; it is on the disk after :meth:`flush`."""
        unknown = row.keys() - COLUMNS.keys()
        if unknown:
            raise ValueError(f"the manifest has no column {', '.join(sorted(unknown))}")
        self._new.append({"finished": datetime.now(UTC), **row})
        self.flush_if_due()

    def flush_if_due(self) -> bool:
        """Write new rows if there are many, or they have waited long; return whether it did."""
        waited = time.monotonic() - self._last
        if len(self._new) >= _ROWS or (self._new and waited >= _SECONDS):
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
        _write(self._new, place / f"{time.time_ns():020}.parquet")
        self._new = []

    def complete(self) -> None:
        """Put all parts together in one file, with the last row of each job."""
        self.flush()
        parts = _parts(self.folder)
        if parts:
            _write(list(latest(self.folder).values()), self.folder / FILE)
        for part in parts:
            part.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (self.folder / PARTS).rmdir()


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


def _rows(folder: Path, columns: list[str] | None) -> Iterator[dict[str, Any]]:
    whole = folder / FILE
    for path in [*([whole] if whole.is_file() else []), *_parts(folder)]:
        try:
            file = parquet.ParquetFile(path)
            for batch in file.iter_batches(columns=columns):
                yield from batch.to_pylist()
        except FileNotFoundError:  # put together in the meantime
            continue
        except (OSError, KeyError, pa.ArrowException) as error:
            message = f"the manifest {path} cannot be read: {str(error).splitlines()[0]}"
            cure = "Delete that file, and give the command of the batch again."
            raise fail("G747", message, cure) from error


def _parts(folder: Path) -> list[Path]:
    return sorted((folder / PARTS).glob("[0-9]*.parquet"))


def _write(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    table = pa.Table.from_pylist(
        [{name: row.get(name) for name in COLUMNS} for row in rows], SCHEMA
    )
    with whole_file(path) as partial:
        parquet.write_table(table, partial)
