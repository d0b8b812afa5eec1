"""The measures of VideoGrain's and MIVE's tables for a benchmark case.

CLIP-F, CLIP-T, Warp-Err and Q-edit are those of VideoGrain (arXiv 2502.17258), Cross-Instance
Accuracy and Local CLIP-T those of MIVE (arXiv 2412.12877):
:mod:`grainspec_runtime.measures.instances` says what of them its paper confirms. VideoGrain's
Warp-Err takes the estimated optical flow of the source clip; here the source's exact flow is known,
too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from grainspec_runtime.bench.clips import Mask, RenderedCase
from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.flow.estimate import estimate_flow
from grainspec_runtime.measures.clip_model import Clip
from grainspec_runtime.measures.clip_similarity import clip_f, clip_t
from grainspec_runtime.measures.fidelity import psnr, ssim
from grainspec_runtime.measures.instances import Instance, instance_scores
from grainspec_runtime.measures.perceptual import feature_distance
from grainspec_runtime.measures.warping import q_edit, warp_error
from grainspec_runtime.media.decode import Frames

Values = dict[str, float | None]
IDENTICAL_DB = 99.0
"""The PSNR of identical pixels, which is infinite."""


@dataclass(frozen=True)
class MeasuredClip:
    """What the measures of an edit need to know of its clip and its spec.

    kept_FHW: pixels that no edit may change. exact_flow: that of the source; None if it is unknown.
    """

    source: Frames
    target: str
    kept_FHW: Mask
    instances: Sequence[Instance]
    exact_flow: ClipFlow | None = None

    @cached_property
    def flow(self) -> ClipFlow | None:
        """The estimated optical flow of the source; None for a single frame."""
        return estimate_flow(self.source) if len(self.source) > 1 else None

    def values(self, edited: Frames, clip: Clip | None) -> Values:
        """Measure an edit; values that need CLIP are None without it, as are undefined ones."""
        warp = warp_error(edited, self.flow) if self.flow else None
        exact = warp_error(edited, self.exact_flow) if self.exact_flow else None
        values: Values = {
            "warp_flow": warp,
            "warp_source": exact,
            "psnr": psnr(self.source, edited, self.kept_FHW),
            "ssim": ssim(self.source, edited, self.kept_FHW),
            **dict.fromkeys(("clip_f", "clip_t", "q_edit", "distance", "local", "cross_instance")),
        }
        if clip is not None:
            of_frames = clip.of_frames(edited)
            similarity = clip_t(of_frames, clip.of_text(self.target))
            scores = instance_scores(clip, edited, self.instances)
            values |= {
                "clip_f": clip_f(of_frames),
                "clip_t": similarity,
                "q_edit": None if warp is None else q_edit(similarity, warp),
                "distance": feature_distance(clip, self.source, edited, self.kept_FHW),
                "local": scores.similarity if scores else None,
                "cross_instance": scores.accuracy if scores else None,
            }
        if values["psnr"] == math.inf:
            values["psnr"] = IDENTICAL_DB
        return {name: finite(value) for name, value in values.items()}


def measured_case(rendered: RenderedCase, kept_FHW: Mask, target: str) -> MeasuredClip:
    """The clip of a benchmark case; its instances are the figures of its exact target.

    A figure counts in the frames that show enough of it.
    """
    masks = rendered.target[1]
    instances = [
        Instance(words, masks[f"figure{number}"] & rendered.visible[number][:, None, None])
        for number, words in enumerate(rendered.case.figure_words)
    ]
    return MeasuredClip(
        source=rendered.source[0],
        target=target,
        kept_FHW=kept_FHW,
        instances=instances,
        exact_flow=rendered.source_flow,
    )


def finite(value: float | None) -> float | None:
    """Round a value for JSON; None for NaN and infinity, which JSON does not have.

    >>> finite(0.1234567), finite(float("nan")), finite(-math.inf)
    (0.123457, None, None)
    """
    return round(float(value), 6) if value is not None and math.isfinite(value) else None
