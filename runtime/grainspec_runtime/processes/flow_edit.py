"""FlowEdit (Kulikov et al., arXiv 2412.08629): from source to edit without inversion.

With the source clip X, the edit Z, which begins as X, and noise N, each step from noise level σ to
σ' is

    Zs = (1 − σ) X + σ N                      the source at this noise level
    Zt = Zs + (Z − X)                         the edit at this noise level
    Z ← Z + (σ' − σ) · m · E_N[ v(Zt, target) − v(Zs, source) ]

with the velocities v of guided passes, their mean over ``average`` samples of N, and the mask m of
what may change. Where m is 0, Z is X, bit for bit; and so it is everywhere if both velocities are
the same: both are computed in the same way, from the same noise.

The passes of the source run without a plan. Of the target's, the conditional one runs under the
plan. Both have the same negative prompt. Where the scale of guidance is 1, the unconditional pass
is left out. The share ``skip`` of the steps, the noisiest, is not taken. The schedules of a plan
and of controls count the steps that are: `until 50%` is the first half of them. Steps are Euler's,
between the noise levels of the spec's sampler.

Dimensions: F latent frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grainspec.model.numbers import first_steps
from grainspec.model.spec import Sampler
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.processes.clip_key import ClipKey
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.guided import Guided, Step
from grainspec_runtime.processes.inversions import unmodulated
from grainspec_runtime.processes.not_finite import not_finite
from grainspec_runtime.processes.process import Job, Progress, Sampled, Stage, State, Warn
from grainspec_runtime.processes.state import latent_state, restored_latents
from grainspec_runtime.schedules.schedule import Rates

_VERSION = 1
"""Increase it when results change, so that runs of other versions do not resume."""

_FRAMES = 21
"""F₀ of FlowAnchor, in latent frames: the length of clips that Wan was trained on."""


class FlowEdit:
    """FlowEdit of one clip's latents ``[F, c, h, w]``; see :class:`Process`.

    It keeps nothing for other edits: there is no inversion.
    """

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
        self.latents = latents
        self._clip_key = ClipKey(denoiser, latents, additions)

    def key(self, job: Job) -> str:
        """Compute a hash of everything that the passes of the source depend on."""
        return self._clip_key(job, {"process": "flow_edit", "version": _VERSION})

    def holding(self, job: Job) -> AbstractContextManager[None]:
        """Do nothing: no cache entry belongs to a job."""
        return nullcontext()

    def share(self, job: Job, *, stage: Stage, warn: Warn) -> bool | None:
        """Return None: there is no inversion."""
        return None

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
        """Integrate the difference of the velocities, from the clip to the edit."""
        checkpoint, denoiser, latents = self.checkpoint, self.denoiser, self.latents
        with stage("edit", job.variant) as progress:
            negative = checkpoint.encode_prompt(job.negative)
            source = checkpoint.encode_prompt(job.source)
            target = checkpoint.encode_target(job.plan)
            plain = unmodulated(job, denoiser)
            edited = flow_edit(
                Guided(denoiser, plain, negative, source, latents),
                Guided(denoiser, attention(), negative, target, latents),
                latents,
                scheduler=checkpoint.schedule.solver(job.sampler, checkpoint.device),
                sampler=job.sampler,
                edited_F1hw=job.edited_F1hw,
                progress=progress,
                begin=begin,
                keep=keep,
            )
        return Sampled(edited, reused=False)

    def reconstruct(self, job: Job, *, stage: Stage, warn: Warn) -> Tensor:
        """Return the clip's latents: FlowEdit with the source prompt as target changes nothing."""
        return self.latents.float()


@torch.no_grad()
def flow_edit(
    source: Guided,
    target: Guided,
    latents_Fchw: Tensor,
    *,
    scheduler: Any,
    sampler: Sampler,
    edited_F1hw: Tensor | None = None,
    progress: Progress = lambda done, total: None,
    begin: tuple[int, State] | None = None,
    keep: Callable[[int, State], None] = lambda done, state: None,
) -> Tensor:
    """Edit latents, float32 ``[F, c, h, w]``; the equations are those of this module.

    ``scheduler`` comes from :meth:`Schedule.solver`; its timesteps and noise levels are used, not
    its step. ``sampler`` has the settings ``skip``, ``source_guidance``, ``guidance``, ``average``,
    ``seed`` and ``amplify``; noise is drawn from the seed on the CPU, so that it is the same on
    every device. ``edited_F1hw`` is the mask m in [0, 1], None for 1. Raises GrainError (G505),
    with step and layer, if a step produces NaN or infinity.

    ``keep`` is called with the number of the step that is finished, counting those that are
    skipped, and the state after it; pass such a pair as ``begin`` to resume there, with a
    bit-identical result. ``progress`` counts predictions, and the windows of each.
    """
    checkpoint = source.denoiser.checkpoint
    steps = len(scheduler.timesteps)
    first = first_steps(sampler.skip, steps)
    generator = torch.Generator().manual_seed(sampler.seed)
    x = latents_Fchw.to(checkpoint.device, torch.float32).contiguous()
    finished, z = first, x
    if begin is not None:
        finished, z = begin[0], restored_latents(begin[1], generator, x.device)
    mask = 1.0 if edited_F1hw is None else edited_F1hw.to(x)
    velocities = _Velocities(source, target, x, sampler)
    shown = _Shown(progress, velocities.parts, steps - first, finished - first)
    rates = checkpoint.schedule.rates(scheduler, x)
    for number in range(finished, steps):
        step = Step(number - first, steps - first, scheduler.timesteps[number])
        here, there = rates[number], rates[number + 1]
        before = generator.get_state()
        change = functools.partial(velocities.difference, z, here, step)
        moved = z + (there.noise - here.noise) * change(generator, shown) * mask
        if not bool(moved.isfinite().all()):
            again = functools.partial(change, _generator_at(before))
            raise not_finite(f"edit step {number + 1} of {steps}", checkpoint.denoiser, again)
        z = moved.contiguous()
        keep(number + 1, latent_state(z, generator))
    return z


@dataclass(frozen=True)
class _Velocities:
    """The velocities of the source X, ``x``, and of an edit of it."""

    source: Guided
    target: Guided
    x: Tensor
    sampler: Sampler

    @property
    def parts(self) -> int:
        """The number of predictions of a step, times the windows of each."""
        return 2 * self.sampler.average * self.source.windows

    def difference(
        self,
        z: Tensor,
        rates: Rates,
        step: Step,
        generator: torch.Generator,
        shown: _Shown | None = None,
    ) -> Tensor:
        """Return how the target's velocity differs from the source's, for the edit Z."""
        scale = self.source.denoiser.checkpoint.guidance_at(self.sampler, float(step.t))
        passes = ((self.source, self.sampler.source_guidance), (self.target, scale))
        for guided, _ in passes:
            guided.begin_step(step)
        total = torch.zeros_like(z)
        for _ in range(self.sampler.average):
            noise = torch.randn(z.shape, generator=generator).to(z)
            at_source = rates.signal * self.x + rates.noise * noise
            at_target = at_source + (z - self.x)  # the same bits as long as the edit is the source
            found = []
            for (guided, scale), at in zip(passes, (at_source, at_target), strict=True):
                found.append(guided(at, step, scale, window_done=shown or _ignore))
                if shown:
                    shown.add(guided.windows)
            total += found[1] - found[0]
        return amplified(total / self.sampler.average, self.sampler.amplify)


def amplified(change_Fchw: Tensor, strength: float) -> Tensor:
    """Amplify a change where it is largest, more so in longer clips.

    FlowAnchor (arXiv 2604.22586): ΔV · (1 + γ · log F / log F₀ · C), with C the mean of |ΔV| over
    channels, scaled to [0, 1] over the clip, and F₀ = 21 latent frames; γ is ``strength``.
    """
    if not strength:
        return change_Fchw
    size = change_Fchw.abs().mean(1, keepdim=True)
    least, most = size.aminmax()
    share = (size - least) / (most - least).clamp_min(torch.finfo(size.dtype).tiny)
    frames = math.log(len(change_Fchw)) / math.log(_FRAMES)
    return change_Fchw * (1 + strength * frames * share)


def _generator_at(state: Tensor) -> torch.Generator:
    generator = torch.Generator()
    generator.set_state(state)
    return generator


def _ignore(windows: int) -> None:
    """Show no progress."""


class _Shown:
    """Shows the finished parts of a run, of which each step has as many."""

    def __init__(self, progress: Progress, parts: int, steps: int, finished: int) -> None:
        self._progress = progress
        self._done, self._total = finished * parts, steps * parts
        self(0)

    def __call__(self, more: int) -> None:
        """Show that more parts are done than those that are added."""
        self._progress(self._done + more, self._total)

    def add(self, parts: int) -> None:
        """Add finished parts."""
        self._done += parts
        self(0)
