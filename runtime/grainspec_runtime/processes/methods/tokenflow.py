"""TokenFlow (Geyer et al., ICLR 2024, arXiv 2307.10373): key frames edited together, then the rest.

The clip is inverted frame by frame. At every sampling step

1. key frames are drawn at random, one from each ``interval`` consecutive frames, and denoised
   together: the self-attention of each covers the tokens of all of them (extended attention);
2. the other frames are denoised with the self-attention output of the key frames in place of their
   own. A token of frame i takes that of its nearest neighbour in the key frames before and after i
   (:mod:`grainspec_runtime.processes.methods.token_field`), where nearest means the largest cosine
   similarity of the *source's* self-attention outputs at this timestep and layer.

Features of the source are injected into both, as in Plug-and-Play, the technique that the paper
builds on, with its shares of the steps unless a spec has ``inject``.

Tokens are those after the output projection. This projection is affine, and the weights of a token
sum to 1, so the mean of two edited tokens may be taken before it, with the same result; that is
done here. The source's tokens are compared after it, since cosine similarity would differ.

Differences from the paper and its code: :attr:`TokenFlow.departures`.

With ``regions``, the plan modulates the joint attention of the key frames, and cross-attention in
all frames. Group norms take each frame's statistics, whatever ``attention { norm }`` says.

A step holds, for each self-attention layer, the tokens of K key frames three times: the source's
once and the edit's in both passes of guidance. With Stable Diffusion 1.5 in half precision this is
69 MB a key frame at 512 x 512. The key frames are processed together, all others in batches of the
frames of `context`, or of 16.

Dimensions: F frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from grainspec.model.settings.method import method_of
from grainspec.model.spec import Inject
from grainspec.plan.method_windows import at_once, batches
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.processes.methods.target_prompt import target_prompt
from grainspec_runtime.processes.methods.tokenflow_passes import TokenFlowPredictor
from grainspec_runtime.processes.process import Job, Sampled, Stage, State, Warn
from grainspec_runtime.processes.sample import sample
from grainspec_runtime.processes.with_inversion import OF_INVERSION, WithInversion


class TokenFlow(WithInversion):
    """TokenFlow of one clip's latents ``[F, c, h, w]``; see :class:`Process`."""

    departures: ClassVar[tuple[str, ...]] = (
        "The paper extracts the source's features during the inversion; here, as in its code, a "
        "pass over the inversion's latents computes them at the step's own timestep, because those "
        "of all steps take gigabytes.",
        "The published code inverts with an empty prompt unless told otherwise; here the "
        "inversion's prompt is `source`, because the other methods have it, too.",
        "The published code takes the key frame of a frame's own batch and that of the batch "
        "before; here they are the nearest on both sides, because the paper's equation has these.",
        "The published code compares the inputs of self-attention, and the paper's appendix A "
        "names these; here its outputs are compared, because the paper's figure 4 shows these.",
        "The paper inverts in 1000 steps and samples in 50, by its appendix A; here inversion and "
        "sampling have the same steps, because the source is then known at each of them.",
        "The paper mixes the tokens of a key frame with those of another one; here a key frame "
        "keeps its own, because a joint edit has made them already.",
        "The published code drops frames that fill no batch; here the last batch may be smaller, "
        "because an edit has all frames of the clip.",
        OF_INVERSION,
    )

    def inverted(self, job: Job) -> Job:
        """Return a job whose unmodulated passes see each frame alone, a batch of them at a time."""
        attention = job.plan.attention.replaced({}, frames="each", norm="each")
        frames = range(len(job.plan.groups))
        return replace(
            job,
            plan=replace(job.plan, attention=attention, _cache={}),
            windows=batches(frames, at_once(job.windows)),
        )

    def run(
        self,
        job: Job,
        attention: Callable[[], Attention],
        *,
        stage: Stage,
        begin: tuple[int, State] | None,
        keep: Callable[[int, State], None],
        warn: Warn,
    ) -> Sampled:
        """Invert the clip frame by frame, and sample from its noise."""
        checkpoint, method = self.checkpoint, method_of(job)
        alone = self.inverted(job)
        with stage("invert", job.variant) as progress:
            # all prompts before the denoiser runs: a text encoder may be deleted then
            prompts = [checkpoint.encode_prompt(job.negative), target_prompt(checkpoint, job)]
            source = checkpoint.encode_prompt(job.source)
            trajectory, cached = self.inversions.of(alone, progress, warn)
        inject = job.inject or Inject()
        features = checkpoint.source_features(inject)
        with stage("sample", job.variant) as progress, features.installed():
            predictor = TokenFlowPredictor(
                predict=self.denoiser.predict,
                checkpoint=checkpoint,
                job=job,
                method=method,
                inject=inject,
                features=features,
                trajectory=trajectory,
                source_conditioning=checkpoint.condition([source], trajectory[-1]),
            )
            latents = sample(
                replace(self.denoiser, predictor=predictor),
                trajectory,
                checkpoint.attention(len(trajectory[0]), alone.plan.attention),
                prompts,
                scheduler=self.solver(job),
                guidance=functools.partial(checkpoint.guidance_at, job.sampler),
                edited_F1hw=job.edited_F1hw,
                blend_from=job.blend_from,
                eta=job.sampler.eta,
                seed=job.sampler.seed,
                progress=progress,
                begin=begin,
                keep=keep,
            )
        return Sampled(latents, cached)
