"""A batch's folder: what it has done before, and what it writes about itself while it runs.

runs/NAME/         the runs, as `grain run` writes them
manifest.parquet   a row for each job that ended; manifest/ while the batch runs
batch.json         the number of jobs, their stages, the workers
index.html         all jobs with pictures
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from grainspec.diagnostics import fail
from grainspec.limits import MAX_RECORD_BYTES
from grainspec.regular_file import json_value, read_json
from grainspec.remote.address import is_url, joined
from grainspec.remote.files import get_bytes, names_in
from grainspec.whole_file import whole_file
from grainspec_runtime.batch import manifest
from grainspec_runtime.batch.jobs import BatchJob
from grainspec_runtime.batch.places import RUNS
from grainspec_runtime.batch.rows import DONE, row_of
from grainspec_runtime.runs.read import MANIFEST, is_kept, read_manifest
from grainspec_runtime.whole_folder import claimed, is_left_over, restored

FILE, PAGE = "batch.json", "index.html"
_OWN = {FILE, PAGE, manifest.FILE, manifest.PARTS, RUNS}


@contextmanager
def claimed_folder(folder: Path) -> Iterator[None]:
    """Keep other processes from writing a batch's folder inside the block; it is made.

    Raises GrainError: G340 if another process is writing it, G742 if it has other files.
    """
    foreign = sorted(
        entry.name
        for entry in (folder.iterdir() if folder.is_dir() else ())
        if entry.name not in _OWN and not is_left_over(entry) and not entry.name.endswith(".part")
    )
    if foreign:
        message = f"{folder} contains files that are not of a batch, such as {foreign[0]}"
        raise fail("G742", message, "Choose another folder: `-o FOLDER`.")
    with claimed(folder):
        folder.mkdir(parents=True, exist_ok=True)
        yield


def kept(
    folder: Path, jobs: Sequence[BatchJob], output: str = ""
) -> tuple[set[str], list[dict[str, Any]]]:
    """Return the digests of jobs that are done, and rows of those that the manifest lacks.

    A job is done if its run is whole. One whose driver died between the run and its row has its row
    made of the run. ``output`` is the URL where the runs are, if they are not in the folder.
    """
    told = manifest.states(folder)
    if is_url(output):
        return _kept_remotely(jobs, told, joined(output, RUNS))
    done: set[str] = set()
    rows: list[dict[str, Any]] = []
    for job in jobs:
        run = folder / RUNS / job.name
        restored(run, keeps=is_kept, last=MANIFEST)
        if not (run / MANIFEST).is_file():
            continue
        if told.get(job.digest) != DONE:
            rows.append(row_of(job, read_manifest(run), run))
        done.add(job.digest)
    return done, rows


def _kept_remotely(
    jobs: Sequence[BatchJob], told: Mapping[str, str], runs: str
) -> tuple[set[str], list[dict[str, Any]]]:
    done: set[str] = set()
    rows: list[dict[str, Any]] = []
    there = set(names_in(runs))
    for job in jobs:
        if job.name not in there:
            continue
        if told.get(job.digest) == DONE:
            done.add(job.digest)
        elif (text := get_bytes(joined(runs, job.name, MANIFEST))) is not None:
            try:
                rows.append(row_of(job, json_value(text), Path(job.name)))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # not a run's record: it is made again
            done.add(job.digest)
    return done, rows


def write_progress(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write what `grain batch status` shows of a batch besides its manifest."""
    with whole_file(folder / FILE) as partial:
        text = json.dumps({**facts, "updated": time.time()}, indent=2, ensure_ascii=False)
        partial.write_text(text + "\n", encoding="utf-8", errors="replace")


def read_progress(folder: Path) -> dict[str, Any]:
    """Read it; raises GrainError (G747) if the folder is not a batch's."""
    try:
        facts = read_json(folder / FILE, most=MAX_RECORD_BYTES, bounded=True)
        if not isinstance(facts, dict):
            raise ValueError("it is not a JSON object")
    except (OSError, ValueError) as error:
        message = f"{folder} is not the folder of a batch: {error}".splitlines()[0]
        raise fail("G747", message, "Name a folder that `grain batch` wrote.") from error
    return facts
