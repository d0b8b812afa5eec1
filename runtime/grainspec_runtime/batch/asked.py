"""What a command asks for: the jobs of its specs and tables."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.remote.address import shown
from grainspec_runtime.batch.failures import Failure
from grainspec_runtime.batch.jobs import BatchJob, Sharing, jobs_of_specs, jobs_of_table
from grainspec_runtime.batch.table import Row, read_table, suffix_of
from grainspec_runtime.batch.table_formats import OTHERS, READERS


def jobs_asked_for(
    paths: Sequence[Path | str], sharing: Sharing
) -> tuple[list[BatchJob], list[Diagnostic]]:
    """Return the jobs of specs and tables, and a warning (G766) about specs that no row is for.

    Without tables, each spec's; else a job for each row that names a spec, and for each other row
    one of each spec beside the tables. Raises GrainError if a spec or table cannot be read, or if
    an override of the command line is wrong for each job that has it.
    """
    jobs, findings = _jobs(paths, sharing)
    _require_valid_options(jobs, sharing)
    return jobs, findings


def _jobs(paths: Sequence[Path | str], sharing: Sharing) -> tuple[list[BatchJob], list[Diagnostic]]:
    tables = [path for path in paths if suffix_of(path) in READERS.keys() | OTHERS]
    specs = [path for path in paths if path not in tables]
    if not tables:
        return list(jobs_of_specs(specs, sharing)), []
    jobs: list[BatchJob] = []
    has_use = False
    for table in tables:
        rows = list(_rows(table, specs))
        has_use = has_use or any(not row.names_spec for row in rows)
        jobs += jobs_of_table(rows, sharing)
    if not jobs or has_use or not specs:
        return jobs, []
    names = list(dict.fromkeys(shown(str(spec)) for spec in specs))
    message = f"no job is made of {', '.join(names)}: each row names a spec of its own"
    command = f"grain batch {shlex.join(names)}"
    cure = (
        f"Leave cells of the column `spec` empty, or give a command without the table: `{command}`."
    )
    return jobs, [Diagnostic("G766", message, cure)]


def _rows(table: Path | str, specs: Sequence[Path | str]) -> Iterator[Row]:
    """Read a table for each spec beside it; rows with a spec of their own once."""
    yield from read_table(table, *specs[:1])
    for spec in specs[1:]:
        yield from (row for row in read_table(table, spec) if not row.names_spec)


def _require_valid_options(jobs: Sequence[BatchJob], sharing: Sharing) -> None:
    """Raise the error of a `--set` or `--grid` that no job can have."""
    grid = [f"{name}={value}" for name, values in (sharing.grid or {}).items() for value in values]
    untried = {*sharing.sets, *grid}
    errors: dict[str, GrainError] = {}
    tried: set[tuple[Path | str, frozenset[str]]] = set()
    for job in jobs:
        if not untried:
            return
        here = (job.spec, frozenset(untried.intersection(job.sets)))
        if not here[1] or here in tried:
            continue
        tried.add(here)
        try:
            _ = job.chosen
        except GrainError as error:
            errors.setdefault(Failure.of(error).setting, error)
        except KeyError:  # an unknown variant, which the job itself will report
            continue
        else:
            untried.difference_update(job.sets)
    for setting in (*sharing.sets, *grid):
        if setting in untried and setting in errors:
            wrong = errors[setting]
            option = "--grid" if setting in grid else wrong.path
            raise GrainError(wrong.diagnostics, source=wrong.source, path=option)
