"""Sample with guidance under a plan, and blend with the source outside the edited regions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grainspec.model.numbers import first_steps
from grainspec.model.spec import FreeU
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.modulation.windowed import window_count
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.guided import with_guidance
from grainspec_runtime.processes.not_finite import not_finite
from grainspec_runtime.processes.process import Progress
from grainspec_runtime.processes.state import restored, state_of


@dataclass(frozen=True, slots=True)
class SolverStep:
    """A step of the solver: its number from 0, its timestep, and latents ``[F, c, h, w]``."""

    number: int
    t: Tensor
    before_Fchw: Tensor
    output_Fchw: Tensor
    """The denoiser's output for ``before_Fchw``, with guidance."""
    after_Fchw: Tensor


AfterStep = Callable[[SolverStep], Tensor]
"""Takes a step, and returns the latents to go on with, ``[F, c, h, w]``."""


def solved(step: SolverStep) -> Tensor:
    """Go on with the solver's latents."""
    return step.after_Fchw


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    trajectory: Tensor,
    attention: Attention,
    prompts: Sequence[Any],
    *,
    scheduler: Any,
    guidance: Callable[[float], float] | float,
    edited_F1hw: Tensor | None = None,
    blend_from: float = 0.0,
    eta: float = 0.0,
    seed: int = 0,
    freeu: FreeU | None = None,
    start_Fchw: Tensor | None = None,
    after_step: AfterStep = solved,
    progress: Progress = lambda done, total: None,
    begin: tuple[int, Mapping[str, Tensor]] | None = None,
    keep: Callable[[int, Mapping[str, Tensor]], None] = lambda done, state: None,
) -> Tensor:
    """Sample edited latents, float32 ``[F, c, h, w]``, from an inversion's ``trajectory``.

    ``prompts`` are the negative and the target prompt, or one prompt for sampling without guidance.
    ``scheduler`` comes from :meth:`Schedule.solver`, with the timesteps of the inversion.
    ``guidance`` is the scale, or a function from timesteps to scales. After every step the latents
    are set back to the trajectory where ``edited_F1hw`` is 0, and interpolated where it is between
    0 and 1; with None they are not. In the first steps, the share ``blend_from`` of all, they are
    not set back either. With ``eta`` (DDIM's σ as a share of DDPM's), noise is drawn from ``seed``
    on the CPU, so that it is the same on every device. ``freeu`` is applied to all predictions,
    those of injected features included.

    Sampling begins with ``start_Fchw``, or with the trajectory's end. ``after_step`` is called
    after every step of the solver, before blending. A resumed run calls it for the remaining steps
    only, so it has no state of its own. Raises GrainError (G505), with step and layer, if a
    step produces NaN or infinity.

    ``keep`` is called with the number of finished steps and the state after them (see
    :mod:`grainspec_runtime.processes.state`); pass such a pair as ``begin`` to resume there, with a
    bit-identical result. ``progress`` counts steps, multiplied by the windows of ``attention`` if
    it has several.
    """
    checkpoint = denoiser.checkpoint
    conditioning = checkpoint.condition(prompts, trajectory[-1])
    guided, steps = len(prompts) == 2, len(scheduler.timesteps)
    windows = window_count(attention)
    generator = torch.Generator().manual_seed(seed)
    start = trajectory[-1] if start_Fchw is None else start_Fchw
    finished, x = 0, start.to(checkpoint.device)
    if edited_F1hw is not None:
        edited_F1hw = edited_F1hw.to(x.device)
    if begin is not None:
        finished, x = begin[0], restored(begin[1], scheduler, generator, x.device)

    def show(step: int, windows_done: int) -> None:
        progress(step * windows + windows_done, steps * windows)

    show(finished, 0)
    freed = checkpoint.with_freeu(freeu) if freeu else nullcontext()
    with checkpoint.installed(attention), freed:
        for step, t in enumerate(scheduler.timesteps):
            if step < finished:
                continue
            attention.begin_step(step, steps, float(t))
            passes = torch.cat([x, x]) if guided else x
            predict = functools.partial(
                denoiser, passes, t, conditioning, attention, step=step, steps=steps
            )
            output = predict(window_done=functools.partial(show, step))
            if guided:
                scale = guidance(float(t)) if callable(guidance) else guidance
                output = with_guidance(output, scale)
            extra: dict[str, Any] = {}
            if eta:
                noise = torch.randn(x.shape, generator=generator)
                extra = {"eta": eta, "variance_noise": noise.to(x)}
            after = scheduler.step(output, t, x, **extra).prev_sample
            x = after_step(SolverStep(step, t, x, output, after))
            if not bool(x.isfinite().all()):
                where = f"sampling step {step + 1} of {steps}"
                again = functools.partial(denoiser.alone, *predict.args, **predict.keywords)
                raise not_finite(where, checkpoint.denoiser, again)
            if edited_F1hw is not None and step >= first_steps(blend_from, steps):
                x = torch.lerp(trajectory[-2 - step].to(x), x, edited_F1hw)
            # the memory order of a saved state: convolutions round differently in another order
            x = x.contiguous()
            keep(step + 1, state_of(x, scheduler, generator))
            show(step + 1, 0)
    return x
