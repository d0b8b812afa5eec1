"""The process of the VideoGrain paper: invert the clip, then sample from its noise under the plan.

The inversion is a trajectory of latents, one for every timestep. Sampling uses it again: latents
outside the edited regions are set back to the trajectory after every step, and injection computes
the source's features from it. It is read from the cache, or computed and cached.

Models of flow matching could do without a trajectory there, since (1 − σ) X + σ N is the source X
at any noise level. On Gaussian clips whose flow is known, an edit of 25 steps is then 0.065 away
from the right one with fresh noise N, 0.032 with that of the inversion, and 0.009 with the
trajectory, because the edit follows the same flow; where a prompt changes more than the edit, they
are about equal. So the trajectory it is (``runtime/benchmarks/flow_blending.py``).

Dimensions: F frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ClassVar

from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.passes import sampling_passes
from grainspec_runtime.processes.inject import injecting
from grainspec_runtime.processes.inversions import unmodulated
from grainspec_runtime.processes.process import Job, Sampled, Stage, State, Warn
from grainspec_runtime.processes.sample import AfterStep, sample, solved
from grainspec_runtime.processes.smoother import Smoothing, along_flow
from grainspec_runtime.processes.with_inversion import OF_INVERSION, WithInversion


class InvertAndSample(WithInversion):
    """Inversion and sampling of one clip's latents ``[F, c, h, w]``; see :class:`Process`."""

    departures: ClassVar[tuple[str, ...]] = (
        OF_INVERSION,
        "VideoGrain's code records the features that it injects during the inversion; here a pass "
        "over the inversion's latents computes them at the step's own timestep, because cached "
        "inversions and resumed runs then suffice.",
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
        """Invert the clip, or use its cached inversion, and sample from its noise."""
        with stage("invert", job.variant) as progress:
            # all prompts before the denoiser runs: a text encoder may be deleted then
            prompts = [self.checkpoint.encode_target(job.plan)]
            if sampling_passes(job.sampler, job.plan) == 2:
                unconditional = self.checkpoint.encode_unconditional(job.negative, job.plan)
                prompts.insert(0, unconditional)
            trajectory, cached = self.inversions.of(job, progress, warn)
        solver = self.solver(job)
        after_step: AfterStep = solved
        if (share := job.sampler.smooth_from) < 1:
            after_step = Smoothing(self.denoiser, solver, share, along_flow())
        with (
            stage("sample", job.variant) as progress,
            injecting(
                self.denoiser,
                job.inject,
                trajectory,
                source=job.source,
                attention=unmodulated(job, self.denoiser),
            ) as denoiser,
        ):
            latents = sample(
                denoiser,
                trajectory,
                attention(),
                prompts,
                scheduler=solver,
                guidance=functools.partial(self.checkpoint.guidance_at, job.sampler),
                edited_F1hw=job.edited_F1hw,
                blend_from=job.blend_from,
                eta=job.sampler.eta,
                seed=job.sampler.seed,
                freeu=job.freeu,
                after_step=after_step,
                progress=progress,
                begin=begin,
                keep=keep,
            )
        return Sampled(latents, cached)
