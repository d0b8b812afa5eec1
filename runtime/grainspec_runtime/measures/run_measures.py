"""All measures of a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.measures.fidelity import psnr, ssim
from grainspec_runtime.measures.likeness import clip_f, clip_t
from grainspec_runtime.measures.warping import q_edit, warp_error
from grainspec_runtime.runs.read import Run

if TYPE_CHECKING:
    from grainspec_runtime.measures.clip_model import Clip


@dataclass(frozen=True, slots=True)
class Measure:
    """A number, or the reason why there is none."""

    title: str
    value: float | None
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """``value`` and, where that is null, ``reason``; JSON knows no infinity."""
        if self.value is not None and not math.isfinite(self.value):
            return {"value": None, "reason": "infinite: the clips are equal"}
        return {"value": self.value, **({} if self.value is not None else {"reason": self.reason})}


TITLES = {
    "clip_f": "CLIP-F ↑",
    "clip_t": "CLIP-T ↑",
    "warp_error": "Warp-Err ↓",
    "q_edit": "Q-edit ↑",
    "warp_error_of_source": "Warp-Err of the source",
    "share_followed": "pixels followed, %",
    "psnr_outside": "PSNR outside, dB ↑",
    "ssim_outside": "SSIM outside ↑",
}
"""What each measure is called, and whether more or less is better."""

_ONE = "the clip has one frame"


def measure_run(
    run: Run,
    *,
    clip: Clip | str,
    flow: ClipFlow | str,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> dict[str, Measure]:
    """Every measure of a run, by the names of ``TITLES``.

    ``flow`` is the source clip's. Where ``clip`` or ``flow`` is a text, it is the reason why there
    is none: what needs it says so, and the rest is measured all the same.
    """
    found: dict[str, Measure] = {}

    def put(name: str, value: float | None, reason: str = "") -> None:
        found[name] = Measure(TITLES[name], value, reason)

    if isinstance(clip, str):
        put("clip_f", None, clip)
        put("clip_t", None, clip)
    else:
        progress("CLIP", 0, 1)
        frames = clip.of_frames(run.edited)
        put("clip_f", clip_f(frames), _ONE)
        put("clip_t", clip_t(frames, clip.of_text(run.target)))
        progress("CLIP", 1, 1)
    if isinstance(flow, str) or len(run.source) < 2:
        reason = flow if isinstance(flow, str) else _ONE
        for name in ("warp_error", "warp_error_of_source", "share_followed"):
            put(name, None, reason)
    else:
        nothing = "no pixel of the source can be followed from a frame to the next"
        put("warp_error", warp_error(run.edited, flow), nothing)
        put("warp_error_of_source", warp_error(run.source, flow), nothing)
        put("share_followed", float(flow.seen_before_PHW.mean() * 100))
    words, error = found["clip_t"], found["warp_error"]
    quotient = None
    if words.value is not None and error.value is not None:
        quotient = q_edit(words.value, error.value)
    put("q_edit", quotient, words.reason or error.reason or "there is no warp error")
    progress("compare", 0, 1)
    kept = ~run.edited_FHW
    put("psnr_outside", psnr(run.source, run.edited, kept), "the edits cover every pixel")
    put(
        "ssim_outside", ssim(run.source, run.edited, kept), "the edits leave no window of 11 pixels"
    )
    progress("compare", 1, 1)
    return {name: found[name] for name in TITLES}
