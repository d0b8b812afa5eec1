"""Null-text optimisation, for each frame by itself.

Null-text inversion (Mokady et al., arXiv 2211.09794, eq. 3) makes guided sampling follow an
inversion: at each step it optimises the embedding ∅ of the unconditional pass,

    minimise over ∅_t:  ‖ x*_{t−1} − step(x_t, u(x_t, ∅_t) + g (c(x_t) − u(x_t, ∅_t))) ‖²

with the inversion's trajectory x*, the source prompt's pass c and the scale of guidance g, by Adam,
beginning with the ∅ of the step before; x_t then moves with the ∅_t that was found. Ground-A-Video
does it for every frame alone, with a learning rate of 0.01, which here halves over the steps, and
stops a step's updates when the loss is below 1e-5 + 2e-5 · step.

Without guidance, g = 1, the unconditional pass cancels and every ∅ stays as it is. With it, one
update brings little, because Adam's ε is 1e-4 as in Ground-A-Video's code, and 1e-8 in that of
null-text inversion, which makes ten updates. Gradients are smaller than 1e-4: on the demo model
their median is 1e-5. At guidance 4, on two frames in five steps, one update brings 0.3 dB there and
five bring 1.1 dB; with 1e-8 it would be 0.8 dB and 2.9 dB.

Memory: one frame's activations at a time, and the embeddings of all steps and frames on the CPU:
with Stable Diffusion 1.5 in half precision 118 kB for a frame and a step, 95 MB for 16 frames and
50 steps.

Dimensions: F frames, c channels, h rows and w columns of latents, T text tokens, C their width.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.not_finite import not_finite
from grainspec_runtime.processes.process import Progress
from grainspec_runtime.schedules.schedule import Rates

TEXT = "encoder_hidden_states"
"""The text embeddings among a UNet's inputs, ``[passes, T, C]``."""

_RATE = 1e-2
_EPS = 1e-4
_CLOSE, _CLOSE_MORE = 1e-5, 2e-5
_HALF = 1024.0
"""Gradients of a network in half precision are computed of a loss this many times as large."""


@dataclass(frozen=True)
class NullText:
    """Optimises the unconditional embeddings of one clip, frame by frame.

    ``attention`` is that of one frame. ``negative`` and ``source`` are the UNet's inputs for the
    negative prompt, with which it begins, and for the source prompt.
    """

    denoiser: Denoiser
    attention: Attention
    negative: dict[str, Any]
    source: dict[str, Any]
    guidance: float
    updates: int

    def embeddings(
        self, trajectory: Tensor, scheduler: Any, progress: Progress = lambda done, total: None
    ) -> Tensor:
        """Return the embedding of each sampling step and frame, ``[steps, F, T, C]`` on the CPU.

        ``trajectory`` ``[steps + 1, F, c, h, w]`` is the inversion's; ``scheduler`` has its
        timesteps. The result has the precision of the negative prompt's. Raises GrainError (G505)
        for NaN or infinity.
        """
        steps, frames = len(trajectory) - 1, trajectory.shape[1]
        text_1TC = self.negative[TEXT]
        found = torch.empty(steps, frames, *text_1TC.shape[1:], dtype=text_1TC.dtype)
        checkpoint = self.denoiser.checkpoint
        rates = checkpoint.schedule.rates(scheduler, trajectory[0].to(checkpoint.device))
        with (
            checkpoint.installed(self.attention),
            torch.compiler.set_stance("force_eager"),
        ):
            for frame in range(frames):
                self._frame(trajectory[:, frame : frame + 1], frame, scheduler, rates, found)
                progress(frame + 1, frames)
        return found

    def _frame(
        self,
        trajectory_S1chw: Tensor,
        frame: int,
        scheduler: Any,
        rates: Sequence[Rates],
        found: Tensor,
    ) -> None:
        """Optimise the embeddings of one frame, and write them to ``found``."""
        device = self.denoiser.checkpoint.device
        x, steps = trajectory_S1chw[-1].to(device), len(found)
        null = self.negative[TEXT].float()
        for step, t in enumerate(scheduler.timesteps):
            self.attention.begin_step(step, steps, float(t))
            wanted = trajectory_S1chw[-2 - step].to(device)
            one = _Step(self, x, t, frame, step, steps, rates[step], rates[step + 1])
            conditional = one.predicted(self.source[TEXT])
            null = self._optimised(null, conditional, wanted, one)
            found[step, frame] = null[0].to(found.dtype).cpu()
            with torch.no_grad():
                x = one.moved(null, conditional).contiguous()
            if not bool(x.isfinite().all()):
                where = f"null-text optimisation of step {step + 1} of {steps}"
                again = functools.partial(one.predicted, null)
                raise not_finite(where, self.denoiser.checkpoint.denoiser, again)

    def _optimised(
        self, null_1TC: Tensor, conditional: Tensor, wanted: Tensor, one: _Step
    ) -> Tensor:
        null = null_1TC.detach().clone().requires_grad_()
        rate = _RATE * (1 - one.number / (2 * one.total))
        adam = torch.optim.Adam([null], lr=rate, eps=_EPS)
        scale = 1.0 if self.denoiser.checkpoint.dtype == torch.float32 else _HALF
        for _ in range(self.updates):
            with torch.enable_grad():
                loss = F.mse_loss(one.moved(null, conditional), wanted)
                (gradient,) = torch.autograd.grad(loss * scale, null)
            null.grad = gradient / scale
            adam.step()
            if float(loss.detach()) < _CLOSE + _CLOSE_MORE * one.number:
                break
        return null.detach()


@dataclass(frozen=True)
class _Step:
    """One step of one frame, from the latents ``x`` ``[1, c, h, w]``."""

    of: NullText
    x: Tensor
    t: Tensor
    frame: int
    number: int
    total: int
    here: Rates
    there: Rates

    def moved(self, null_1TC: Tensor, conditional: Tensor) -> Tensor:
        """Return the latents after a guided step with this unconditional embedding."""
        unconditional = self._pass(self.of.negative, null_1TC)
        output = unconditional + self.of.guidance * (conditional - unconditional)
        schedule = self.of.denoiser.checkpoint.schedule
        direction = schedule.direction(output, self.x, self.here)
        return schedule.moved(self.x, direction, self.here, self.there)

    @torch.no_grad()
    def predicted(self, text_1TC: Tensor) -> Tensor:
        """Return the output for the source prompt's inputs with this embedding."""
        return self._pass(self.of.source, text_1TC)

    def _pass(self, inputs: dict[str, Any], text_1TC: Tensor) -> Tensor:
        conditioning = {**inputs, TEXT: text_1TC.to(inputs[TEXT].dtype)}
        return self.of.denoiser.predict(
            self.x, self.t, conditioning, [self.frame], step=self.number, steps=self.total
        )
