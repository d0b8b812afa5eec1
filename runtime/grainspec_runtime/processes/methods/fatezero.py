"""FateZero (Qi et al., arXiv 2303.09535): the edit keeps the source's attention maps.

The edit is sampled from the noise of the source's inversion. In the first steps

- cross-attention to words that both prompts have is the source's; that to new words is the edit's
  own, or with ``words replace`` that of the words which they replace;
- self-attention is the source's, except where the source attends to the edited words: there it is
  the edit's own. The mask is that of the same step's maps, with the threshold τ = 0.3.

Constants are those of the guide of the published code: both in 80 % of the steps, without blending
of latents, which is there for edits of shapes, from 20 to 80 % of the steps (`local_blend 20%`).
With `mask_threshold 100%` all self-attention is the source's, as in the published edits of style.

With ``regions attention``, the mask is the edited regions instead.

What differs from the paper: :attr:`FateZero.departures`.
"""

from __future__ import annotations

from typing import ClassVar

from grainspec_runtime.modulation.attention_maps import LARGEST_GRID
from grainspec_runtime.processes.methods.maps import REWEIGHTED, MapProcess
from grainspec_runtime.processes.with_inversion import OF_INVERSION


class FateZero(MapProcess):
    """FateZero of one clip; see :class:`grainspec_runtime.processes.process.Process`."""

    departures: ClassVar[tuple[str, ...]] = (
        "The paper records attention maps during the inversion; here a pass over the inversion's "
        "latents at the step's own timestep computes them, one step further from the clip, because "
        "cached inversions and resumed runs then suffice.",
        "The paper's self-attention covers each frame itself and the middle one; here it covers "
        "the frames of `attention { frames … }`, because no scope has the middle frame: "
        "`first_last` is the nearest.",
        "For edits of shapes the paper tunes the model on the clip (Tune-A-Video); here nothing is "
        "tuned, because all methods are compared on one model.",
        "The published code blends latents by the source's attention to words in the step itself; "
        "here it is the mean over the steps so far, because Prompt-to-Prompt, whose blending it "
        "is, takes that of both clips.",
        REWEIGHTED,
        OF_INVERSION,
    )
    masks_self = True
    cross_grid = LARGEST_GRID
    local_blend_until = 0.8
