"""A row of a batch's manifest: what is written about one job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from grainspec.diagnostics import GrainError
from grainspec.remote.address import shown
from grainspec_runtime.batch.failures import Failure
from grainspec_runtime.batch.jobs import BatchJob
from grainspec_runtime.measures.run_measures import TITLES
from grainspec_runtime.runs.read import Measured

DONE, SET_ASIDE = "done", "set aside"

_STAGES = {
    "load model": "seconds_load",
    "read clip": "seconds_read",
    "control": "seconds_control",
    "flow": "seconds_flow",
    "invert": "seconds_invert",
    "sample": "seconds_sample",
    "edit": "seconds_sample",
    "decode": "seconds_decode",
}
_SECONDS = (
    *("seconds_prepare", *dict.fromkeys(_STAGES.values())),
    *("seconds_edit", "seconds_save"),
)
MEASURES = tuple(f"measure_{name}" for name in TITLES)
_OF_RUN = ("grainspec", "torch", "diffusers", "transformers", "numpy", "av", "python")
OF_BATCH = ("ray", "fsspec")
"""Packages that a run's manifest does not name."""

COLUMNS: Mapping[str, str] = {
    **dict.fromkeys(("job", "name", "state", "code", "message", "cure", "place"), "text"),
    **dict.fromkeys(("spec", "spec_sha256", "clip", "variant", "model", "process"), "text"),
    "sets": "texts",
    "seed": "integer",
    "steps": "integer",
    "frames": "integer",
    **dict.fromkeys(("width", "height", "attempts"), "integer"),
    "reasons": "texts",
    "warnings": "texts",
    "folder": "text",
    "run_key": "text",
    **dict.fromkeys(("plan", "device", "dtype", "host", "target"), "text"),
    "inversion_cached": "truth",
    "resumed_at_step": "integer",
    **dict.fromkeys(_SECONDS, "number"),
    **dict.fromkeys(("peak_memory_bytes", "peak_gpu_bytes", "gpu_bytes_estimated"), "integer"),
    **dict.fromkeys(MEASURES, "number"),
    **{f"version_{name}": "text" for name in (*_OF_RUN, *OF_BATCH)},
    "finished": "time",
}
"""The columns of the manifest, and the kind of each.

``inversion_cached``: whether the job's inversion was in the cache before the batch began to make
it; null if that is not known, of a row that was made of its run. Seconds may be summed over rows:
``seconds_prepare`` is the job's share of what its unit took, and what jobs of a clip share, such as
``seconds_invert``, is in the row of one of them.
"""


def row_of(
    job: BatchJob, manifest: Mapping[str, Any], measured: Iterable[Measured] = ()
) -> dict[str, Any]:
    """Return the row of a finished job, from its run's manifest and metrics."""
    spec, clip = manifest.get("spec") or {}, manifest.get("clip") or {}
    size = clip.get("edited_size") or [None, None]
    versions = manifest.get("versions") or {}
    return {
        **row_of_job(job),
        "state": DONE,
        "clip": shown(job.clip) if job.clip else clip.get("path"),
        "target": spec.get("target"),
        "steps": (spec.get("sampler") or {}).get("steps"),
        "frames": len(clip.get("frames") or ()),
        "width": size[0],
        "height": size[1],
        "warnings": [found.get("code") for found in manifest.get("warnings") or ()],
        **{name: manifest.get(name) for name in _OF_MANIFEST},
        **seconds_of(manifest.get("seconds") or {}),
        **measures_of(measured),
        **{f"version_{name}": versions.get(name) for name in _OF_RUN},
    }


_OF_MANIFEST = (
    *("model", "process", "seed", "run_key", "plan", "device", "dtype"),
    *("inversion_cached", "resumed_at_step", "peak_memory_bytes"),
)


def row_of_failure(job: BatchJob, failure: Failure, reasons: Sequence[str]) -> dict[str, Any]:
    """Return the row of a job that is set aside."""
    return {
        **row_of_job(job),
        **_asked(job),
        "state": SET_ASIDE,
        "code": failure.code,
        "message": failure.message,
        "cure": failure.cure,
        "place": job.place_of(failure.setting) or failure.place(shown(str(job.spec))),
        "attempts": len(reasons),
        "reasons": list(reasons),
    }


def _asked(job: BatchJob) -> dict[str, Any]:
    """Return what the spec of a job asks for, unless that cannot be read."""
    try:
        spec = job.chosen
    except (GrainError, KeyError, OSError):
        return {}
    return {
        "clip": shown(spec.video.path),
        "target": spec.target,
        "model": spec.model,
        "seed": spec.sampler.seed,
        "steps": spec.sampler.steps,
    }


def row_of_job(job: BatchJob) -> dict[str, Any]:
    """Return what is known of a job before it runs."""
    return {
        "job": job.digest,
        "name": job.name,
        "spec": shown(str(job.spec)),
        "spec_sha256": job.content.sha256 or None,
        "clip": job.clip and shown(job.clip),
        "variant": job.variant,
        "sets": list(job.sets),
        "folder": f"runs/{job.name}",
    }


def seconds_of(stages: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds of a run's stages by the names of their columns."""
    return {column: stages[stage] for stage, column in _STAGES.items() if stage in stages}


def measures_of(measured: Iterable[Measured]) -> dict[str, float | None]:
    """Return the metrics of a run by the names of their columns."""
    titles = {title: f"measure_{name}" for name, title in TITLES.items()}
    return {titles[one.title]: one.value for one in measured if one.title in titles}
