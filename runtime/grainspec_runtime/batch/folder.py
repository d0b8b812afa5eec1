"""A batch's folder: what it writes about itself while it runs.

runs/NAME/         the runs, as `grain run` writes them, with a file of what their rows add
manifest.parquet   a row for each job that ended; manifest/ while the batch runs
batch.json         the number of jobs, their stages, the workers
index.html         all jobs with pictures
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from grainspec.diagnostics import fail
from grainspec.limits import MAX_RECORD_BYTES
from grainspec.regular_file import read_json
from grainspec.whole_file import whole_file
from grainspec_runtime.batch import manifest
from grainspec_runtime.batch.places import RUNS
from grainspec_runtime.batch.progress_fields import fault_in
from grainspec_runtime.whole_folder import claimed, is_left_over

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
            raise ValueError(f"{FILE} is not a JSON object")
        if fault := fault_in(facts):
            raise ValueError(f"{FILE}: {fault}")
    except (OSError, ValueError) as error:
        message = f"{folder} is not the folder of a batch: {error}".splitlines()[0]
        raise fail("G747", message, "Name a folder that `grain batch` wrote.") from error
    return facts
