"""Optimises the latents of a step so that the clip moves as the source does (DMT, 2311.17009).

At each guided step, before the denoiser predicts, the latents take ``updates`` steps of Adam down
the gradient of :func:`motion_loss`, against the source's latents at the same timestep, which the
inversion's trajectory has. The features of the edit are those of the target prompt's pass.

Gradients go through the UNet up to the features' block only, in unmodulated passes: fused kernels
of modulated attention have no backward pass. Memory is bounded by gradient checkpointing, and by
one window of a long clip at a time; pairs of frames in different windows are not compared. Of the
source only the spatial means are stored, for one step.

Dimensions: R regions, F frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grainspec_runtime.backbones.unets.space_time import SpaceTimeFeatures
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.modulation.windowed import WindowedAttention
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.guided import Step
from grainspec_runtime.processes.methods.motion_loss import Means, motion_loss, spatial_means
from grainspec_runtime.processes.not_finite import not_finite

_HALF = 1024.0
"""Gradients of a network in half precision are computed of a loss this many times as large."""


@dataclass(frozen=True)
class MotionGuide:
    """Optimises latents against a source, the trajectory ``[steps + 1, F, c, h, w]``.

    attention: unmodulated, of the whole clip. source, target: the UNet's inputs for the prompts.
    rates: the learning rate at each guided step; later steps are not guided. updates: steps of Adam
    at each. regions_RFhw: where means are taken, None for the frame.
    """

    denoiser: Denoiser
    attention: Attention
    trajectory: Tensor
    source: Any
    target: Any
    rates: Sequence[float]
    updates: int
    regions_RFhw: Tensor | None = None
    told: Callable[[Step, float], None] = lambda step, loss: None
    """Called with the loss before each update."""

    def optimised(self, x_Fchw: Tensor, step: Step) -> Tensor:
        """Return the latents of a step after its updates; the same tensor if it is not guided.

        Raises GrainError (G505) if a gradient is NaN or infinity.
        """
        if step.number >= len(self.rates) or not self.updates:
            return x_Fchw
        checkpoint = self.denoiser.checkpoint
        x = x_Fchw.detach().clone().requires_grad_()
        adam = torch.optim.Adam([x], lr=self.rates[step.number])
        self.attention.begin_step(step.number, step.total, float(step.t))
        with checkpoint.installed(self.attention), self._features.recomputing():
            source = self.trajectory[-1 - step.number].to(x.device)
            wanted = [self._means(source, step, self.source, part) for part in self._parts()]
            for _ in range(self.updates):
                x.grad, loss = self.gradient(x, wanted, step)
                if not bool(x.grad.isfinite().all()):
                    where = f"motion guidance of sampling step {step.number + 1} of {step.total}"
                    part = next(iter(self._parts()))
                    again = functools.partial(self._means, x.detach(), step, self.target, part)
                    raise not_finite(where, checkpoint.denoiser, again)
                self.told(step, loss)
                adam.step()
        return x.detach().contiguous()

    def gradient(self, x_Fchw: Tensor, wanted: Sequence[Means], step: Step) -> tuple[Tensor, float]:
        """Return the gradient of the loss by ``x``, and the loss; ``wanted`` are windows' means."""
        scale = 1.0 if self.denoiser.checkpoint.dtype == torch.float32 else _HALF
        total, sum_of_losses = torch.zeros_like(x_Fchw), 0.0
        for part, means in zip(self._parts(), wanted, strict=True):
            with torch.enable_grad():
                at = x_Fchw.detach().requires_grad_()
                loss = motion_loss(self._found(at, step, self.target, part), means)
                if loss.requires_grad:  # not for a source that does not change
                    (gradient,) = torch.autograd.grad(loss * scale, at)
                    total += gradient / scale
            sum_of_losses += float(loss.detach())
        return total, sum_of_losses

    @functools.cached_property
    def _features(self) -> SpaceTimeFeatures:
        return SpaceTimeFeatures(self.denoiser.checkpoint.denoiser)

    def _parts(self) -> Iterator[list[int]]:
        """Select each window in turn, and yield its frames."""
        if not isinstance(self.attention, WindowedAttention):
            yield list(range(self.attention.frames))
            return
        for index, window in enumerate(self.attention.windows):
            self.attention.select(index)
            yield list(window.frames)

    @torch.no_grad()
    def _means(self, x_Fchw: Tensor, step: Step, inputs: Any, frames: list[int]) -> Means:
        return self._found(x_Fchw, step, inputs, frames)

    def _found(self, x_Fchw: Tensor, step: Step, inputs: Any, frames: list[int]) -> Means:
        """Return the spatial means of a pass over ``frames``."""
        run = functools.partial(
            self.denoiser.predict,
            x_Fchw[frames],
            step.t,
            inputs,
            frames,
            step=step.number,
            steps=step.total,
        )
        regions = None if self.regions_RFhw is None else self.regions_RFhw[:, frames]
        return spatial_means(self._features.of(run), regions)
