"""Sampling with guidance under a plan, with the clip kept where nothing is edited."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from grainspec.model.numbers import first_steps
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.modulation.windowed import window_count
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.not_finite import not_finite
from grainspec_runtime.processes.process import Progress
from grainspec_runtime.processes.state import restored, state_of


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    trajectory: Tensor,
    attention: Attention,
    prompts: Sequence[Any],
    *,
    scheduler: Any,
    guidance: float,
    edited_F1hw: Tensor | None = None,
    blend_from: float = 0.0,
    eta: float = 0.0,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
    begin: tuple[int, Mapping[str, Tensor]] | None = None,
    keep: Callable[[int, Mapping[str, Tensor]], None] = lambda done, state: None,
) -> Tensor:
    """Edited latents, float32 ``[F, c, h, w]``, from the end of an inversion's ``trajectory``.

    ``prompts`` are the negative and the wanted one, or the wanted one alone, without guidance.
    ``scheduler`` is one of :meth:`Schedule.solver`'s, its timesteps those of the inversion. After
    every step the latents are put back on the trajectory where ``edited_F1hw`` is 0, and part of
    the way where it is below 1; None leaves them alone. In the first ``blend_from`` of the steps, a
    share, they are not put back. With ``eta`` (DDIM's σ, as a share of DDPM's) noise is drawn from
    ``seed``, on the CPU, so that it is the same on any device. Raises GrainError (G505), with step
    and layer, if a step produces NaN or infinity.

    ``keep`` is called with the number of finished steps and all that the next one builds on (see
    :mod:`grainspec_runtime.processes.state`); such a pair as ``begin`` continues from there, with a
    bit-identical result. ``progress`` counts the steps, times the windows of
    ``attention`` if it has several.
    """
    checkpoint = denoiser.checkpoint
    conditioning = checkpoint.condition(prompts, trajectory[-1])
    guided, steps = len(prompts) == 2, len(scheduler.timesteps)
    windows = window_count(attention)
    generator = torch.Generator().manual_seed(seed)
    finished, x = 0, trajectory[-1].to(checkpoint.device)
    if begin is not None:
        finished, x = begin[0], restored(begin[1], scheduler, generator, x.device)

    def report(step: int, windows_done: int) -> None:
        progress(step * windows + windows_done, steps * windows)

    report(finished, 0)
    with checkpoint.installed(attention):
        for step, t in enumerate(scheduler.timesteps):
            if step < finished:
                continue
            attention.begin_step(step, steps, float(t))
            passes = torch.cat([x, x]) if guided else x
            asked = functools.partial(
                denoiser, passes, t, conditioning, attention, step=step, steps=steps
            )
            output = asked(window_done=functools.partial(report, step))
            if guided:
                plain, wanted = output.chunk(2)
                output = plain + guidance * (wanted - plain)
            extra: dict[str, Any] = {}
            if eta:
                noise = torch.randn(x.shape, generator=generator)
                extra = {"eta": eta, "variance_noise": noise.to(x)}
            x = scheduler.step(output, t, x, **extra).prev_sample
            if not bool(x.isfinite().all()):
                where = f"sampling step {step + 1} of {steps}"
                raise not_finite(where, checkpoint.denoiser, asked)
            if edited_F1hw is not None and step >= first_steps(blend_from, steps):
                x = torch.lerp(trajectory[-2 - step].to(x), x, edited_F1hw)
            # one memory order, as a kept state has it: convolutions round by it
            x = x.contiguous()
            keep(step + 1, state_of(x, scheduler, generator))
            report(step + 1, 0)
    return x
