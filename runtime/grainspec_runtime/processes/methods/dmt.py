"""DMT: the motion of the source, from space-time features (Yatim et al., arXiv 2311.17009).

The source is inverted. Sampling with the target prompt begins from noise that has the inversion's
low frequencies (:mod:`.low_frequencies`). In the first steps the latents are optimised before each
prediction, so that differences of spatial means of features match the source's
(:mod:`.motion_guide`). With ``restart``, each step is followed by a return to its own noise level
with new noise, and taken once more, which corrects what the optimisation made unlikely.

Constants of the paper's code: 10 updates a step in the first 20 of 50 steps, learning rates from
0.007 to 0.004, a factor of 4 for low frequencies, restarts at all steps but the last. Its scale of
guidance is 10: `sampler { guidance 10 }`.

If `regions` says so, which the paper does not have, the plan modulates sampling, and the means are
taken in each edited region and in the rest.

Where this differs from the paper: :attr:`DMT.departures`.

A step stores the spatial means of the source's features, and one window's activations at the
boundaries of blocks. Resuming repeats nothing: the state after a step is the optimised latents.

Dimensions: R regions, F frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from grainspec.model.numbers import first_steps
from grainspec.model.settings.method import method_of
from grainspec.model.spec import Method
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.processes.guided import Guided, Step
from grainspec_runtime.processes.inversions import unmodulated
from grainspec_runtime.processes.methods.low_frequencies import low_frequencies_kept
from grainspec_runtime.processes.methods.motion_guide import MotionGuide
from grainspec_runtime.processes.process import Job, Sampled, Stage, State, Warn
from grainspec_runtime.processes.sample import SolverStep, sample
from grainspec_runtime.processes.with_inversion import OF_INVERSION, WithInversion


class DMT(WithInversion):
    """DMT of one clip's latents ``[F, c, h, w]``; see :class:`Process`."""

    departures: ClassVar[tuple[str, ...]] = (
        "The paper's model is ZeroScope, whose features come from temporal convolutions; here it "
        "is AnimateDiff and they come from its motion module, because no supported family has "
        "temporal convolutions.",
        "The paper inverts in 999 steps; here the inversion has the sampler's steps, because "
        "sampling and the source's features need latents at its timesteps only.",
        "The published code returns to a noise level by one DDPM step after another; here the "
        "noise is drawn at once, because its distribution is the same.",
        "The paper samples by DDIM; here the solver may be another, but the step that a restart "
        "repeats is DDIM's, because a solver of several steps cannot take one twice.",
        "The published code counts each frame's difference from itself in the loss; here only "
        "pairs of frames between which the source changes are counted, because the others have no "
        "direction and add a constant.",
        "The paper compares all pairs of frames; here, in clips longer than `context`, only those "
        "within a window are compared, because one window's gradients fit in memory.",
        OF_INVERSION,
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
        """Invert the clip, or use its cached inversion, and sample with the source's motion."""
        checkpoint, method = self.checkpoint, method_of(job)
        with stage("invert", job.variant) as progress:
            # all prompts before the denoiser runs: a text encoder may be deleted then
            negative, source = map(checkpoint.encode_prompt, (job.negative, job.source))
            target = checkpoint.encode_target(job.plan)
            trajectory, cached = self.inversions.of(job, progress, warn)
        scheduler = checkpoint.schedule.solver(job.sampler, checkpoint.device)
        steps, timesteps = len(scheduler.timesteps), scheduler.timesteps
        guide = MotionGuide(
            denoiser=self.denoiser,
            attention=unmodulated(job, self.denoiser),
            trajectory=trajectory,
            source=checkpoint.condition([source], trajectory[-1]),
            target=checkpoint.condition([target], trajectory[-1]),
            rates=learning_rates(method, steps),
            updates=method.updates,
            regions_RFhw=_regions(job.plan) if method.modulates else None,
        )
        edited, twice = attention(), first_steps(method.restart, steps)
        scale = functools.partial(checkpoint.guidance_at, job.sampler)
        restart = Restart(
            Guided(self.denoiser, edited, negative, target, trajectory[-1]),
            scheduler,
            scale,
            job.sampler.seed,
        )

        def after_step(step: SolverStep) -> Tensor:
            done, x_Fchw = step.number, step.after_Fchw
            if done + 1 == steps:
                return x_Fchw
            if done < twice:
                x_Fchw = restart(x_Fchw, Step(done, steps, step.t))
            return guide.optimised(x_Fchw, Step(done + 1, steps, timesteps[done + 1]))

        with stage("sample", job.variant) as progress:
            start = None
            if begin is None:
                start = low_frequencies_kept(
                    trajectory[-1], method.low_frequencies, _seed(job.sampler.seed, 0)
                ).to(checkpoint.device)
                start = guide.optimised(start, Step(0, steps, timesteps[0]))
            latents = sample(
                self.denoiser,
                trajectory,
                edited,
                [negative, target],
                scheduler=scheduler,
                guidance=scale,
                edited_F1hw=job.edited_F1hw,
                blend_from=job.blend_from,
                eta=job.sampler.eta,
                seed=job.sampler.seed,
                start_Fchw=start,
                after_step=after_step,
                progress=progress,
                begin=begin,
                keep=keep,
            )
        return Sampled(latents, cached)


class Restart:
    """Returns to the noise level of a step with new noise, and takes the step once more.

    With the signal rates a and noise rates b here and after the step (a', b'), the forward process
    gives (a / a') x' + √(b² − (a b' / a')²) n, with noise n from the seed and the step's number.
    """

    def __init__(
        self, guided: Guided, scheduler: Any, scale: Callable[[float], float], seed: int
    ) -> None:
        self._guided = guided
        self._schedule = guided.denoiser.checkpoint.schedule
        self._scheduler = scheduler
        self._scale = scale
        self._seed = seed

    @torch.no_grad()
    def __call__(self, x_Fchw: Tensor, step: Step) -> Tensor:
        """Return the latents after the repeated step, from those after the first."""
        here, there = self._schedule.rates(self._scheduler, x_Fchw)[step.number :][:2]
        share = here.signal / there.signal
        generator = torch.Generator().manual_seed(_seed(self._seed, 1 + step.number))
        noise = torch.randn(x_Fchw.shape, generator=generator).to(x_Fchw)
        new = (here.noise**2 - (share * there.noise) ** 2).clamp_min(0).sqrt()
        back = share * x_Fchw + new * noise
        self._guided.begin_step(step)
        output = self._guided(back, step, self._scale(float(step.t)))
        direction = self._schedule.direction(output, back, here)
        return self._schedule.moved(back, direction, here, there).contiguous()


def learning_rates(method: Method, steps: int) -> list[float]:
    """Return the learning rate of each optimised step, evenly spaced."""
    optimised = first_steps(method.motion, steps)
    return [float(rate) for rate in np.linspace(method.first_rate, method.last_rate, optimised)]


def _seed(seed: int, draw: int) -> int:
    """Return the seed of one of a run's draws; `eta` draws from ``seed`` itself."""
    seeds = torch.randint(2**62, (draw + 1,), generator=torch.Generator().manual_seed(seed))
    return int(seeds[draw])


def _regions(plan: MaskPlan) -> Tensor:
    """Return the edits' regions, and the rest if there is any, float32 ``[R, F, h, w]``."""
    finest = min(plan.levels, key=lambda level: level.index)
    inside_FhwE = torch.from_numpy(plan.members_CE[finest.labels_FHW])
    regions = inside_FhwE.permute(3, 0, 1, 2).float()
    rest = ~inside_FhwE.any(-1)
    return torch.cat([regions, rest[None].float()]) if bool(rest.any()) else regions
