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

What differs from the paper:

- Maps are those of a pass at the step's own latents, where the paper's are recorded during the
  inversion, one step nearer to the clip.
- Self-attention covers the frames of the spec's `attention { frames … }`. The paper's covers each
  frame itself and the middle one, which is no choice there; `first_last` is the nearest.
- For edits of shapes, the paper's model is tuned on the clip (Tune-A-Video). Nothing is tuned here.
- Words are re-weighted in all steps, as in Prompt-to-Prompt's equation; the published code does so
  only in the steps of ``cross_steps``.
- Blending of latents reads the mean of the source's maps over the steps so far, as Prompt-to-Prompt
  does; the published code reads this step's.
"""

from __future__ import annotations

from grainspec_runtime.modulation.attention_maps import LARGEST_GRID
from grainspec_runtime.processes.methods.maps import MapProcess


class FateZero(MapProcess):
    """FateZero of one clip; see :class:`grainspec_runtime.processes.process.Process`."""

    masks_self = True
    cross_grid = LARGEST_GRID
    local_blend_until = 0.8
