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
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from grainspec_runtime.cache.inversions import KIND
from grainspec_runtime.cache.store import using
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.passes import sampling_passes
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.inject import injecting
from grainspec_runtime.processes.inversions import Inversions, unmodulated
from grainspec_runtime.processes.process import Job, Sampled, Stage, State, Warn
from grainspec_runtime.processes.sample import sample


class InvertAndSample:
    """Inversion and sampling of one clip's latents ``[F, c, h, w]``; see :class:`Process`."""

    def __init__(
        self,
        denoiser: Denoiser,
        latents: Tensor,
        additions: dict[str, Any],
        *,
        use_cache: bool,
        look_up: bool,
    ) -> None:
        self.denoiser = denoiser
        self.checkpoint = denoiser.checkpoint
        self.inversions = Inversions(
            denoiser, latents, additions, use_cache=use_cache, look_up=look_up
        )

    def key(self, job: Job) -> str:
        """Compute a hash of everything that the inversion for a job depends on."""
        return self.inversions.key(job)

    def holding(self, job: Job) -> AbstractContextManager[None]:
        """Protect the cached inversion for a job from eviction inside the block."""
        return using(KIND, self.key(job))

    def share(self, job: Job, *, stage: Stage, warn: Warn) -> bool | None:
        """Invert the clip for a job, unless that inversion is cached; return whether it was."""
        with stage("invert", job.variant) as progress:
            _, existed = self.inversions.of(job, progress, warn)
        return existed

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
                prompts.insert(0, self.checkpoint.encode_prompt(job.negative))
            trajectory, cached = self.inversions.of(job, progress, warn)
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
                scheduler=self._solver(job),
                guidance=functools.partial(self.checkpoint.guidance_at, job.sampler),
                edited_F1hw=job.edited_F1hw,
                blend_from=job.blend_from,
                eta=job.sampler.eta,
                seed=job.sampler.seed,
                progress=progress,
                begin=begin,
                keep=keep,
            )
        return Sampled(latents, cached)

    def reconstruct(self, job: Job, *, stage: Stage, warn: Warn) -> Tensor:
        """Sample the clip from its noise with the source prompt: no guidance, plan or blending."""
        trajectory, _ = self.inversions.of(job, lambda done, total: None, warn)
        with stage("reconstruct", job.variant) as progress:
            return sample(
                self.denoiser,
                trajectory,
                unmodulated(job, self.denoiser),
                [self.checkpoint.encode_prompt(job.source)],
                scheduler=self._solver(job),
                guidance=1.0,
                progress=progress,
            )

    def _solver(self, job: Job) -> Any:
        return self.checkpoint.schedule.solver(job.sampler, self.checkpoint.device)
