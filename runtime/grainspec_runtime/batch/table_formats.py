"""The formats of tables of jobs: each yields its rows as cells by column, and where a row is."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from grainspec.regular_file import json_value

Rows = Iterator[tuple[str, Mapping[str, Any]]]
"""Of each row its place in the file, such as ``line 3``, and its cells by the names of columns."""

_HEADER = "Write a header such as `clip,spec,sampler.seed`."
_OBJECT = 'Write an object a line, such as `{"clip": "a.mp4", "sampler.seed": 7}`.'
_UTF8 = "Save it as UTF-8 (in Excel: `CSV UTF-8 (Comma delimited)`)."
_SEPARATORS = {";": "`;`", "\t": "tabs", "|": "`|`"}


class BadTable(ValueError):
    """A table cannot be read, and why; ``cure`` says what to write instead."""

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(reason)
        self.cure = cure


def _csv(path: Path) -> Rows:
    """Read CSV; a row is where it begins, since cells in quotes may have several lines."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        names: list[str] | None = None
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise _bad_quote(line, error) from error
            except UnicodeDecodeError as error:
                raise BadTable("it is not UTF-8 text", _UTF8) from error
            if cells is None:
                return
            if names is None:
                names = cells if any(cells) else None
                _require_header(cells)
            elif cells:
                yield f"line {line}", _by_name(names, cells, line)


def _bad_quote(line: int, error: csv.Error) -> BadTable:
    """Explain what is wrong with the quotes of the row that begins in a line.

    The rest of a table after a quote that is not closed is one cell: it ends at the next quote,
    where a comma is missing, at a limit on cells, or with the table.
    """
    reason = f"line {line}: a quote is opened there, and not closed in its cell ({error})"
    return BadTable(reason, 'Close the quote; write one inside a cell as two: `"a 5"" screen"`.')


def _require_header(names: Sequence[str]) -> None:
    header = "".join(names)
    if "\0" in header:
        raise BadTable("it is not UTF-8 text", _UTF8)
    for sign, told in _SEPARATORS.items():
        if sign in header:
            reason = f"its header separates columns by {told}"
            raise BadTable(reason, f"Separate columns by commas. {_HEADER}")
    _require_distinct(names)


def _by_name(names: Sequence[str], cells: Sequence[str], line: int) -> dict[str, str]:
    more = [cell for cell in cells[len(names) :] if cell.strip()]
    if more:
        reason = f"line {line} has more cells than the header has columns: `{more[0].strip()}`"
        raise BadTable(reason, 'Put a text with commas in quotes: `"a pig, in mud"`.')
    found: dict[str, str] = {}
    for name, cell in zip(names, cells, strict=False):
        found[name] = found.get(name) or cell  # several columns may have no name, and no value
    return found


def _require_distinct(names: Sequence[str]) -> None:
    stripped = [name.strip() for name in names]
    for name in stripped:
        if name and stripped.count(name) > 1:
            reason = f"several columns are named `{name}`"
            raise BadTable(reason, "Leave all but one of them out.")


def _jsonl(path: Path) -> Rows:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"line {number}"
            try:
                value = json_value(line, distinct=True)
            except UnicodeDecodeError as error:
                raise BadTable(f"{where} is not UTF-8 text", "Save it as UTF-8.") from error
            except ValueError as error:
                raise BadTable(f"{where}: {error}", _OBJECT) from error
            if not isinstance(value, dict):
                raise BadTable(f"{where} is not a JSON object", _OBJECT)
            yield where, value


def _parquet(path: Path) -> Rows:
    import pyarrow as pa
    from pyarrow import parquet

    number = 0
    try:
        file = parquet.ParquetFile(path)
        _require_distinct(file.schema_arrow.names)
        for batch in file.iter_batches():
            for cells in batch.to_pylist():
                number += 1
                yield f"row {number}", cells
    except BadTable:
        raise
    except (pa.ArrowException, ValueError, OverflowError) as error:  # such as times out of range
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadTable(reason, "Write it again, such as by `DataFrame.to_parquet`.") from error


READERS: Mapping[str, Callable[[Path], Rows]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
"""What reads a table, by the suffix of its name; each raises BadTable, and OSError."""

OTHERS = frozenset(
    (".tsv", ".tab", ".xlsx", ".xls", ".ods", ".numbers", ".ndjson", ".pq", ".feather", ".arrow")
)
"""Suffixes of tables that are not read."""
