"""The runs that a batch has written before, in its folder or behind a URL: whether they are whole.

A run is whole if all files are there that every run has, and its manifest can be read.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from grainspec.diagnostics import GrainError
from grainspec.diagnostics.diagnostic import reason_of
from grainspec.limits import MAX_RECORD_BYTES
from grainspec.regular_file import json_value, read_json
from grainspec.remote.address import joined, protocol_of
from grainspec.remote.files import get_bytes
from grainspec.remote.folders import listed
from grainspec.remote.store import OBJECT_STORES
from grainspec_runtime.runs.read import (
    BATCH_ROW,
    MANIFEST,
    MEASURES,
    WHOLE,
    Measured,
    is_kept,
    measures_from,
    missing_file,
    read_manifest,
    read_measures,
)
from grainspec_runtime.whole_folder import restored

Record = dict[str, Any]


class NotWhole(Exception):
    """A run lacks a file, or its manifest cannot be read. begun: whether it ever was whole."""

    def __init__(self, reason: str, *, begun: bool) -> None:
        super().__init__(reason)
        self.begun = begun


class WrittenRuns(Protocol):
    """The folders of runs, by the names of their jobs."""

    @property
    def at_once(self) -> int:
        """How many are read at once."""

    def record(self, name: str) -> Record:
        """Return the manifest of a run; raises NotWhole."""

    def measures(self, name: str) -> list[Measured] | None:
        """Return the metrics of a run; None if it is not measured."""

    def known(self, name: str, job: str) -> Record:
        """Return what :func:`write_known` wrote of the row of a job, by its digest; or nothing."""


def write_known(run: Path, job: str, columns: Mapping[str, Any]) -> None:
    """Write what only the batch knows of a run's row, such as the reasons of earlier attempts.

    A file that is cut short, since the process was killed, is read as none.
    """
    text = json.dumps({"job": job, "columns": dict(columns)}, indent=2, ensure_ascii=False)
    (run / BATCH_ROW).write_text(text + "\n", encoding="utf-8", errors="replace")


@dataclass(frozen=True)
class LocalRuns:
    """Runs in a folder."""

    folder: Path
    at_once: int = 1

    def record(self, name: str) -> Record:
        """Return the manifest of a run; raises NotWhole."""
        run = self.folder / name
        restored(run, keeps=is_kept, last=MANIFEST)
        begun = any((run / name).exists() for name in (MANIFEST, BATCH_ROW))
        lacking = missing_file(run)
        if lacking:
            raise NotWhole(f"{lacking} is missing or empty", begun=begun)
        try:
            return read_manifest(run)
        except GrainError as error:
            raise NotWhole(error.diagnostics[0].message, begun=begun) from error

    def measures(self, name: str) -> list[Measured] | None:
        """Return the metrics of a run; None if it is not measured."""
        if not (self.folder / name / MEASURES).is_file():
            return None
        try:
            return read_measures(self.folder / name)
        except GrainError:
            return None

    def known(self, name: str, job: str) -> Record:
        """Return what :func:`write_known` wrote of a job's row, if it can be read."""
        try:
            place = self.folder / name / BATCH_ROW
            return _known(read_json(place, most=MAX_RECORD_BYTES, bounded=True), job)
        except (OSError, ValueError):
            return {}


class RemoteRuns:
    """Runs behind a URL, whose files are listed once; raises GrainError (G746, G757)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.at_once = 8 if protocol_of(url) in OBJECT_STORES else 1
        self._sizes: dict[str, dict[str, int]] = defaultdict(dict)
        for file in listed(url):
            name, *rest = PurePosixPath(file.name).parts
            self._sizes[name]["/".join(rest)] = file.size

    def record(self, name: str) -> Record:
        """Return the manifest of a run; raises NotWhole, and GrainError (G746)."""
        sizes = self._sizes.get(name, {})
        begun = MANIFEST in sizes
        for file in WHOLE:
            if not sizes.get(file):
                raise NotWhole(f"{file} is missing or empty", begun=begun)
        try:
            return _object(self._bytes(name, MANIFEST))
        except ValueError as error:
            reason = f"cannot read {MANIFEST}: {reason_of(error)}"
            raise NotWhole(reason, begun=begun) from error

    def measures(self, name: str) -> list[Measured] | None:
        """Return the metrics of a run; None if it is not measured. Raises GrainError (G746)."""
        if MEASURES not in self._sizes.get(name, {}):
            return None
        try:
            return measures_from(_object(self._bytes(name, MEASURES)))
        except ValueError:
            return None

    def known(self, name: str, job: str) -> Record:
        """Return what :func:`write_known` wrote of a job's row, if it can be read."""
        try:
            return _known(_object(self._bytes(name, BATCH_ROW)), job)
        except (KeyError, ValueError):
            return {}

    def _bytes(self, name: str, file: str) -> bytes:
        if self._sizes[name][file] > MAX_RECORD_BYTES:
            raise ValueError("the file is too large")
        return get_bytes(joined(self.url, name, file)) or b""


def _object(content: bytes) -> Record:
    value = json_value(content, bounded=True)
    if not isinstance(value, dict):
        raise ValueError("the file is not a JSON object")
    return value


def _known(written: object, job: str) -> Record:
    columns = written.get("columns") if isinstance(written, dict) else None
    if not isinstance(written, dict) or written.get("job") != job or not isinstance(columns, dict):
        return {}
    return columns
