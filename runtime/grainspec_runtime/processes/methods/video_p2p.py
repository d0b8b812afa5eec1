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

What differs from the paper: :attr:`VideoP2P.departures`.
"""

from __future__ import annotations

from typing import ClassVar

from grainspec_runtime.processes.methods.maps import REWEIGHTED, MapProcess
from grainspec_runtime.processes.with_inversion import OF_INVERSION


class VideoP2P(MapProcess):
    """Video-P2P of one clip; see :class:`grainspec_runtime.processes.process.Process`."""

    departures: ClassVar[tuple[str, ...]] = (
        "The paper first tunes the model on the clip (as Tune-A-Video); here nothing is tuned, "
        "because all methods are compared on one model.",
        "The paper optimises an unconditional embedding, with which guided sampling retraces the "
        "inversion of the source; here the source's latents of a step are the inversion's own, "
        "because these are what the embedding is optimised to reach.",
        "The paper's self-attention covers the first frame; here it covers the frames of "
        "`attention { frames … }`, because an untuned model keeps frames alike only by them.",
        "The published code replaces words by as many others; here they may be of any number, "
        "because the alignment of the prompts says which words take the place of which.",
        "The published code re-weights any words of the prompt; here those of edits are "
        "re-weighted and those of a place that is not edited are not, because in a spec only edits "
        "have weights.",
        REWEIGHTED,
        OF_INVERSION,
    )
    masks_self = False
    cross_grid = None
