"""Video-P2P (Liu et al., arXiv 2303.04761): Prompt-to-Prompt (2208.01626) on a clip.

The edit is sampled from the noise of the source's inversion, beside the source. In the first steps

- cross-attention to words that both prompts have is the source's; that to replaced words is the one
  of the words which they replace (``words replace``), or the edit's own (``words refine``); that to
  added words is the edit's own (Prompt-to-Prompt, section 3.2);
- self-attention is the source's at grids of at most 32 x 32;

in all steps, attention to the words of an edit is multiplied by ``reweight`` times its ``weight``;
and after a share of the steps, latents are set back to the source's where neither prompt attends to
the edited words (local blend, k = 0.3). Constants are those of the published code: 20 % and 50 % of
the steps, and local blend after 20 %.

With ``regions attention``, local blend keeps what is outside the edited regions instead.

Decoupled guidance (section 3.3 of Video-P2P) has two parts. The edit's unconditional pass has the
prompt that the model was trained with, the spec's `negative`: so it is here. The source's has an
embedding, shared by all frames, that is optimised until its guided steps retrace the inversion.
That embedding is not computed here: all that it gives is the source's latents at each step, and
here these are those of the inversion themselves, which optimised steps only approach. The published
code's `--fast` does without it as well.

What differs from the paper:

- Its model is tuned on the clip first (as Tune-A-Video), with attention of each frame to the first.
  Nothing is tuned here, and self-attention covers the frames of `attention { frames … }`.
- Words are re-weighted in all steps, as in Prompt-to-Prompt's equation; the published code does so
  only in the steps of ``cross_steps``.
- Replaced words may be of any number, where the published code takes as many as they replace.
"""

from __future__ import annotations

from grainspec_runtime.processes.methods.maps import MapProcess


class VideoP2P(MapProcess):
    """Video-P2P of one clip; see :class:`grainspec_runtime.processes.process.Process`."""

    masks_self = False
    cross_grid = None
