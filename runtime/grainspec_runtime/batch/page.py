"""The index page of a batch: its jobs with pictures, those that were set aside first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from grainspec.whole_file import whole_file
from grainspec_runtime.batch import manifest
from grainspec_runtime.batch.jobs import BatchJob
from grainspec_runtime.batch.rows import DONE, MEASURES, SET_ASIDE

_SHOWN = 5000
"""Jobs on the page; the manifest has all of them."""


def where_all(count: int) -> str:
    """Say where all jobs are that were set aside.

    >>> where_all(4_000), where_all(10_000)
    ('see index.html', 'index.html has the first 5,000, manifest.parquet has all')
    """
    if count <= _SHOWN:
        return "see index.html"
    return f"index.html has the first {_SHOWN:,}, manifest.parquet has all"


def write_page(folder: Path, place: Path, jobs: Sequence[BatchJob]) -> None:
    """Write the page of a batch's jobs; it loads pictures of the runs beside it."""
    asked = {job.digest for job in jobs}
    rows = manifest.latest(folder)
    shown = [row for job, row in rows.items() if job in asked]
    page = batch_page(shown, len(jobs), others=len(rows) - len(shown))
    with whole_file(place) as partial:
        partial.write_text(page, encoding="utf-8", errors="replace")


def batch_page(rows: list[dict[str, Any]], total: int, *, others: int = 0) -> str:
    """Render the page of the rows of a manifest.

    total: jobs of the batch, also those without a row yet. others: jobs in the same manifest that
    the batch was not asked for, such as those of an earlier text of a spec.
    """
    ordered = sorted(rows, key=lambda row: row["state"] == DONE)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("grainspec_runtime.batch").joinpath("page.html.jinja").read_text("utf-8")
    return environment.from_string(source).render(
        rows=[_shown(row) for row in ordered[:_SHOWN]],
        left_out=max(0, len(rows) - _SHOWN),
        done=sum(row["state"] == DONE for row in rows),
        total=total,
        left=total - len(rows),
        others=others,
        codes=Counter(row["code"] for row in rows if row["state"] == SET_ASIDE).most_common(),
    )


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    seconds = [row[name] for name in ("seconds_edit", "seconds_save") if row.get(name)]
    measures = [
        f"{name.removeprefix('measure_')} {row[name]:.3g}"
        for name in MEASURES
        if row.get(name) is not None
    ]
    names = ("name", "variant", "target", "code", "message", "cure", "place", "spec")
    return {
        **{name: row.get(name) for name in names},
        "done": row["state"] == DONE,
        "clip": row["clip"] or "",
        "sets": row["sets"] or [],
        "reasons": row["reasons"] or [],
        "folder": row["folder"],
        "facts": [*([f"{sum(seconds):.1f} s"] if seconds else []), *measures],
    }
