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

The released settings of the published method are, with guidance of source and target: Stable
Diffusion 3, 50 steps, 17 skipped (n_max 33), 3.5 and 13.5; FLUX, 28 steps, 4 skipped (n_max 24),
1.5 and 5.5; Wan-Edit (FiVE-Bench), 50 steps, 17 skipped, 5 and 10. One noise a step in all.

FlowAnchor (arXiv 2604.22586) is this process with ``amplify 1`` (its AMM, equations 24 to 27) under
``attention flowanchor`` (its SAR, equations 15 to 18, with β₁ = β₂ = 0.3 down to σ = 0.6), in 25
steps of which 2 are skipped. It restores nothing outside the mask: ``blend { space none }``. Its
paper does not say which guidance it uses. What differs from both papers is in
:mod:`grainspec_runtime.processes.departures`.

Dimensions: F latent frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from grainspec.model.settings import EditingName
from grainspec.model.spec import Sampler
from grainspec.plan.backbone import skipped_steps
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.processes.guided import Guided, Step
from grainspec_runtime.processes.inversions import unmodulated
from grainspec_runtime.processes.not_finite import not_finite
from grainspec_runtime.processes.process import Job, Progress, Sampled, Stage, State, Warn
from grainspec_runtime.processes.state import latent_state, restored_latents
from grainspec_runtime.processes.without_inversion import WithoutInversion
from grainspec_runtime.schedules.schedule import Rates

_FRAMES = 21
"""F₀ of FlowAnchor, in latent frames: the length of clips that Wan was trained on."""


class FlowEdit(WithoutInversion):
    """FlowEdit of one clip's latents ``[F, c, h, w]``; see :class:`Process`."""

    departures: ClassVar[tuple[str, ...]] = (
        "The paper can end with n_min steps of plain sampling; here there are none, because its "
        "released settings have n_min = 0.",
        "The paper has no mask; here the change is multiplied by the mask of the edited regions "
        "unless `blend { space none }`, because the source is then kept outside of them.",
    )
    name: ClassVar[EditingName] = "flow_edit"
    version: ClassVar[int] = 1

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
            negative = checkpoint.encode_unconditional(job.negative, job.plan)
            source = checkpoint.encode_prompt(job.source)
            target = checkpoint.encode_target(job.plan)
            plain = unmodulated(job, denoiser)
            edited = flow_edit(
                Guided(denoiser, plain, negative, source, latents),
                Guided(denoiser, attention(), negative, target, latents),
                latents,
                scheduler=checkpoint.schedule.solver(job.sampler, checkpoint.device),
                sampler=job.sampler,
                skipped=skipped_steps(job.sampler, "flow_edit"),
                edited_F1hw=job.edited_F1hw,
                progress=progress,
                begin=begin,
                keep=keep,
            )
        return Sampled(edited, reused=False)


class AtTarget(Protocol):
    """Makes Zt, the edit at a noise level."""

    def __call__(
        self, z: Tensor, x: Tensor, at_source: Tensor, noise: Tensor, rates: Rates
    ) -> Tensor:
        """Return Zt ``[F, c, h, w]`` of the edit Z, the source X, Zs and the noise N.

        As long as the edit is the source, it is Zs, bit for bit.
        """


def shifted(z: Tensor, x: Tensor, at_source: Tensor, noise: Tensor, rates: Rates) -> Tensor:
    """Zs + (Z − X): the whole change, at every noise level."""
    return at_source + (z - x)


@torch.no_grad()
def flow_edit(
    source: Guided,
    target: Guided,
    latents_Fchw: Tensor,
    *,
    scheduler: Any,
    sampler: Sampler,
    skipped: int,
    edited_F1hw: Tensor | None = None,
    at_target: AtTarget = shifted,
    narrowed: Callable[[Tensor], Tensor] = lambda change_Fchw: change_Fchw,
    progress: Progress = lambda done, total: None,
    begin: tuple[int, State] | None = None,
    keep: Callable[[int, State], None] = lambda done, state: None,
) -> Tensor:
    """Edit latents, float32 ``[F, c, h, w]``; the equations are those of this module.

    ``scheduler`` comes from :meth:`Schedule.solver`; its timesteps and noise levels are used, not
    its step. ``sampler`` has the settings ``source_guidance``, ``guidance``, ``average``, ``seed``
    and ``amplify``; noise is drawn from the seed on the CPU, so that it is the same on every
    device. The first ``skipped`` steps are not taken. ``edited_F1hw`` is the mask m in [0, 1], None
    for 1. ``at_target`` makes Zt; ``narrowed`` is called with the difference of a step. Raises
    GrainError (G505), with step and layer, if a step produces NaN or infinity.

    ``keep`` is called with the number of the step that is finished, counting those that are
    skipped, and the state after it; pass such a pair as ``begin`` to resume there, with a
    bit-identical result. ``progress`` counts predictions, and the windows of each.
    """
    checkpoint = source.denoiser.checkpoint
    steps = len(scheduler.timesteps)
    generator = torch.Generator().manual_seed(sampler.seed)
    x = latents_Fchw.to(checkpoint.device, torch.float32).contiguous()
    finished, z = skipped, x
    if begin is not None:
        finished, z = begin[0], restored_latents(begin[1], generator, x.device)
    mask = 1.0 if edited_F1hw is None else edited_F1hw.to(x)
    velocities = _Velocities(source, target, x, sampler, at_target)
    shown = _Shown(progress, velocities.parts, steps - skipped, finished - skipped)
    rates = checkpoint.schedule.rates(scheduler, x)
    for number in range(finished, steps):
        step = Step(number - skipped, steps - skipped, scheduler.timesteps[number])
        here, there = rates[number], rates[number + 1]
        before = generator.get_state()
        change = functools.partial(velocities.difference, z, here, step)
        moved = z + (there.noise - here.noise) * narrowed(change(generator, shown)) * mask
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
    at_target: AtTarget

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
            at_target = self.at_target(z, self.x, at_source, noise, rates)
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

    Its equation 24 has the mean of ΔV itself. Where ΔV is 0, C would then be in the middle of the
    range, while its section 3.4 wants C near 0 in the background, and 1 where most changes: this is
    what the mean of |ΔV| gives.
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
