"""Which jobs of a batch are done before it begins: those whose runs are whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grainspec.diagnostics import Diagnostic
from grainspec.diagnostics.diagnostic import reason_of
from grainspec.remote.address import is_url, joined
from grainspec_runtime.batch import manifest
from grainspec_runtime.batch.jobs import BatchJob
from grainspec_runtime.batch.places import RUNS
from grainspec_runtime.batch.rows import COLUMNS, DONE, measures_of, row_of
from grainspec_runtime.batch.written_runs import LocalRuns, NotWhole, RemoteRuns, WrittenRuns
from grainspec_runtime.runs.read import MANIFEST


@dataclass(frozen=True)
class Judged:
    """A job's run. row: if the manifest lacks it. spoilt: why a run is not whole any more.

    measures: by column; None if it has no ``measures.json``.
    """

    done: bool
    row: dict[str, Any] | None = None
    spoilt: str = ""
    measures: Mapping[str, float | None] | None = None


@dataclass
class Kept:
    """What a batch need not make again.

    done: the digests of jobs whose runs are whole. rows: of those that the manifest lacks.
    spoilt: the names of runs that are not whole any more, and why; they are made again.
    measures: those of jobs that are done, by digest. unmeasured: jobs that are done without any.
    """

    done: set[str] = field(default_factory=set)
    rows: list[dict[str, Any]] = field(default_factory=list)
    spoilt: dict[str, str] = field(default_factory=dict)
    measures: dict[str, Mapping[str, float | None]] = field(default_factory=dict)
    unmeasured: list[BatchJob] = field(default_factory=list)

    def add(self, job: BatchJob, judged: Judged) -> None:
        """Add what is known of a job's run."""
        if judged.spoilt:
            self.spoilt[job.name] = judged.spoilt
        if judged.row is not None:
            self.rows.append(judged.row)
        if judged.done:
            self.done.add(job.digest)
            if judged.measures is None:
                self.unmeasured.append(job)
            else:
                self.measures[job.digest] = judged.measures

    def findings(self) -> list[Diagnostic]:
        """Return a warning (G764) if runs are made again."""
        if not self.spoilt:
            return []
        count, (name, reason) = len(self.spoilt), next(iter(self.spoilt.items()))
        message = f"{count} runs are not whole any more, such as {name}: {reason}"
        if count == 1:
            message = f"the run {name} is not whole any more: {reason}"
        cure = "They are made again." if count > 1 else "It is made again."
        return [Diagnostic("G764", message, cure)]


def kept(folder: Path, jobs: Sequence[BatchJob], output: str = "") -> Kept:
    """Return which jobs are done: their runs have all files, and a manifest that can be read.

    A job whose driver died between the run and its row has its row made of the run. ``output`` is
    the URL where the runs are, if they are not in the folder. Raises GrainError: G746 and G757.
    """
    told = manifest.states(folder)
    runs: WrittenRuns
    runs = RemoteRuns(joined(output, RUNS)) if is_url(output) else LocalRuns(folder / RUNS)
    found = Kept()
    pool = ThreadPoolExecutor(runs.at_once)
    try:
        judged = pool.map(lambda job: _judged(job, runs, told.get(job.digest) == DONE), jobs)
        for job, one in zip(jobs, judged, strict=True):
            found.add(job, one)
    finally:
        pool.shutdown(cancel_futures=True)
    return found


def _judged(job: BatchJob, runs: WrittenRuns, has_row: bool) -> Judged:
    try:
        record, measures = runs.record(job.name), runs.measures(job.name)
    except NotWhole as error:  # one that never was whole needs no warning
        return Judged(done=False, spoilt=str(error) if has_row or error.begun else "")
    try:
        row = _row_of_record(job, record, measures or ())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"its {MANIFEST} is not a run's: {reason_of(error)}"
        return Judged(done=False, spoilt=reason)
    if not has_row:
        row = _with(row, runs.known(job.name, job.digest))
    columns = None if measures is None else measures_of(measures)
    return Judged(done=True, row=None if has_row else row, measures=columns)


def _with(row: dict[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with what the batch knew of it; without it if that is not a row's."""
    missing = {name for name in COLUMNS if row.get(name) is None}
    both = {**row, **{name: value for name, value in known.items() if name in missing}}
    try:
        manifest.check(both)
    except (ValueError, TypeError):
        return row
    return both


def _row_of_record(job: BatchJob, record: Mapping[str, Any], measures: Any) -> dict[str, Any]:
    """Return the row of a run that was made before; raises for a record that is not a run's."""
    if not isinstance(record["spec"], dict):
        raise TypeError("`spec` is not an object")
    row = row_of(job, record, measures)
    if row["inversion_cached"]:  # when it was sampled, perhaps by the batch itself
        row["inversion_cached"] = None
    manifest.check(row)
    return row
