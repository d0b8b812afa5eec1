"""Measure a result of a batch, without a model: what needs CLIP, `grain measure` adds later."""

from __future__ import annotations

from grainspec.diagnostics import GrainError
from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.flow.estimate import estimate_flow
from grainspec_runtime.measures.run_measures import measure_run, write_measures
from grainspec_runtime.runs.read import MEASURES, Run


def measure(run: Run) -> None:
    """Write the metrics of a run, by DIS flow, as ``measures.json`` in its folder."""
    flow: ClipFlow | str
    try:
        flow = estimate_flow(run.source, "dis", device="cpu")
    except GrainError as error:
        flow = error.diagnostics[0].message
    skipped = "batches do not load CLIP; `grain measure` does"
    write_measures(run.folder / MEASURES, measure_run(run, clip=skipped, flow=flow))
