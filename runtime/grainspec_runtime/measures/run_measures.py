"""Compute all metrics of a run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grainspec.whole_file import whole_file
from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.measures.clip_similarity import clip_f, clip_t
from grainspec_runtime.measures.fidelity import psnr, ssim
from grainspec_runtime.measures.instances import Instance, instance_scores
from grainspec_runtime.measures.perceptual import feature_distance
from grainspec_runtime.measures.run_cost import edit_seconds, note_of_memory, note_of_seconds
from grainspec_runtime.measures.warping import q_edit, warp_error
from grainspec_runtime.runs.read import Run

if TYPE_CHECKING:
    from grainspec_runtime.measures.clip_model import Clip


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric's value, and what it includes if that is not plain; or why there is none."""

    title: str
    value: float | None
    reason: str = ""
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """``value``, ``reason`` if it is null, and any ``note``; infinity becomes null."""
        if self.value is not None and not math.isfinite(self.value):
            return {"value": None, "reason": "infinite: the clips are identical"}
        if self.value is None:
            return {"value": None, "reason": self.reason}
        return {"value": self.value, **({"note": self.note} if self.note else {})}


TITLES = {
    "clip_f": "CLIP-F ↑",
    "clip_t": "CLIP-T ↑",
    "warp_error": "Warp-Err ↓",
    "q_edit": "Q-edit ↑",
    "warp_error_of_source": "Warp-Err of the source",
    "share_followed": "Pixels tracked by flow, %",
    "psnr_outside": "PSNR outside, dB ↑",
    "ssim_outside": "SSIM outside ↑",
    "distance_outside": "Feature distance outside ↓",
    "local_clip_t": "Local CLIP-T ↑",
    "cross_instance": "Cross-instance accuracy, % ↑",
    "seconds": "Time of the edit, s",
    "memory": "Peak memory of the process, MiB",
}
"""The title of each metric; the arrow says whether higher or lower is better."""


def write_measures(path: Path, measures: Mapping[str, Measure]) -> None:
    """Write metrics as JSON, whole or not at all; raises OSError."""
    entries = [{"name": name, "title": m.title, **m.as_json()} for name, m in measures.items()]
    text = json.dumps({"measures": entries}, indent=2, ensure_ascii=False)
    with whole_file(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


_ONE_FRAME = "the clip has only one frame"
_INSTANCE_GRAINS = ("instance", "class")


def measure_run(
    run: Run,
    *,
    clip: Clip | str,
    flow: ClipFlow | str,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> dict[str, Measure]:
    """Compute every metric of a run, keyed as in ``TITLES``.

    ``flow`` is the source clip's. If ``clip`` or ``flow`` is a string, it is the reason why that
    input is unavailable; the metrics that need it carry this reason, and the others are computed.
    """
    measures: dict[str, Measure] = {}

    def put(name: str, value: float | None, reason: str = "", note: str = "") -> None:
        measures[name] = Measure(TITLES[name], value, reason, note)

    kept = ~run.edited_FHW
    if isinstance(clip, str):
        for name in ("clip_f", "clip_t", "distance_outside", "local_clip_t", "cross_instance"):
            put(name, None, clip)
    else:
        progress("CLIP", 0, 1)
        frames = clip.of_frames(run.edited)
        put("clip_f", clip_f(frames), _ONE_FRAME)
        put("clip_t", clip_t(frames, clip.of_text(run.target)))
        distance = feature_distance(clip, run.source, run.edited, kept)
        put("distance_outside", distance, "the edits cover every pixel")
        scores = instance_scores(clip, run.edited, instances_of(run))
        similarity, accuracy = (scores.similarity, scores.accuracy) if scores else (None, None)
        put("local_clip_t", similarity, "no instance or class is edited")
        put("cross_instance", accuracy, "fewer than two instances or classes are edited")
        progress("CLIP", 1, 1)
    if isinstance(flow, str) or len(run.source) < 2:
        reason = flow if isinstance(flow, str) else _ONE_FRAME
        for name in ("warp_error", "warp_error_of_source", "share_followed"):
            put(name, None, reason)
    else:
        no_flow = "the flow tracks no pixel of the source from one frame to the next"
        put("warp_error", warp_error(run.edited, flow), no_flow)
        put("warp_error_of_source", warp_error(run.source, flow), no_flow)
        put("share_followed", float(flow.seen_before_PHW.mean() * 100))
    likeness, error = measures["clip_t"], measures["warp_error"]
    quotient = None
    if likeness.value is not None and error.value is not None:
        quotient = q_edit(likeness.value, error.value)
    put("q_edit", quotient, likeness.reason or error.reason or "the warp error is 0")
    progress("compare", 0, 1)
    put("psnr_outside", psnr(run.source, run.edited, kept), "the edits cover every pixel")
    too_small = "no unedited area is as large as the 11 x 11 kernel of SSIM"
    put("ssim_outside", ssim(run.source, run.edited, kept), too_small)
    progress("compare", 1, 1)
    unknown = "the run's manifest does not say"
    put("seconds", edit_seconds(run.manifest), unknown, note_of_seconds(run.manifest))
    memory = run.manifest.get("peak_memory_bytes")
    known_memory = memory / 2**20 if isinstance(memory, int) else None
    put("memory", known_memory, unknown, note_of_memory(run.manifest))
    return {name: measures[name] for name in TITLES}


def instances_of(run: Run) -> list[Instance]:
    """The edits of instances and classes, with the pixels of their regions' latent tokens."""
    plan = run.plan
    labels_Fhw = plan.levels[0].labels_FHW
    rows = np.arange(plan.height) * labels_Fhw.shape[1] // plan.height
    columns = np.arange(plan.width) * labels_Fhw.shape[2] // plan.width
    frames = [index for index, group in enumerate(plan.groups) for _ in group]
    labels_FHW = labels_Fhw[np.ix_(frames, rows, columns)]
    return [
        Instance(edit.phrase, run.crop.unpadded(plan.members_CE[labels_FHW, number]))
        for number, edit in enumerate(plan.edits)
        if edit.grain in _INSTANCE_GRAINS and edit.phrase
    ]
