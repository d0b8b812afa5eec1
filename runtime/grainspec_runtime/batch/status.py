"""How far a batch is: from ``batch.json`` and the manifest in its folder."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from grainspec.diagnostics import fail
from grainspec.remote.address import shown
from grainspec_runtime.batch import manifest
from grainspec_runtime.batch.folder import FILE, read_progress
from grainspec_runtime.batch.rows import DONE, SET_ASIDE
from grainspec_runtime.remote.record import fetch_record

_SILENT = 30.0
"""Seconds without news, after which a batch that has not ended is said to be interrupted."""
_STAGES = ("prepare", "load", "read", "control", "flow", "invert", "sample", "decode", "save")
_TOLD = ("name", "code", "place", "message", "cure")
"""Columns of a job that is set aside."""


def status_behind(url: str) -> dict[str, Any]:
    """Return the state of a batch behind a URL, as :func:`status_of` does.

    Raises GrainError: G747 if it is not one, G746 and G757 if it cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="grain-") as temporary:
        folder = Path(temporary)
        fetch_record(url, folder)
        if not (folder / FILE).is_file():
            message = f"{shown(url)} is not the folder of a batch"
            raise fail("G747", message, "Name a folder that `grain batch` wrote.")
        return status_of(folder)


def _finished(row: Mapping[str, Any]) -> datetime:
    """Return when a job ended; long ago if its row, of another version, does not say."""
    return row["finished"] or datetime.fromtimestamp(0, UTC)


def status_of(folder: Path) -> dict[str, Any]:
    """Return the state of a batch as JSON values; raises GrainError (G747) if it is not one."""
    facts = read_progress(folder)
    # The manifest may have jobs of other commands, and earlier failures of jobs that run again.
    begun = datetime.fromtimestamp(float(facts.get("started") or 0), UTC)
    rows = list(manifest.latest(folder).values())
    done = [row for row in rows if row["state"] == DONE]
    failed = [row for row in rows if row["state"] == SET_ASIDE and _finished(row) >= begun]
    age = time.time() - float(facts.get("updated") or 0)
    stages = facts.get("stages") or {}
    number_done = int(facts.get("kept") or 0) + int(stages.get("done") or 0)
    set_aside = int(stages.get("set aside") or 0)
    left = max(0, int(facts.get("jobs") or 0) - number_done - set_aside)
    if facts.get("ended"):
        state = "complete" if not left else "interrupted"
    else:
        state = "running" if age < _SILENT else "interrupted"
    means = {}
    for stage in _STAGES:
        times = [row[f"seconds_{stage}"] for row in done if row.get(f"seconds_{stage}")]
        if times:
            means[stage] = {"jobs": len(times), "mean_seconds": statistics.fmean(times)}
    return {
        "state": state,
        "jobs": facts.get("jobs"),
        "done": number_done,
        "set_aside": set_aside,
        "left": left,
        "stages": stages,
        "workers": facts.get("workers") or [],
        "inversions": facts.get("inversions"),
        "longest": facts.get("longest"),
        "seconds": means,
        "codes": dict(Counter(row["code"] for row in failed)),
        "failed": [{name: row.get(name) for name in _TOLD} for row in failed],
    }
