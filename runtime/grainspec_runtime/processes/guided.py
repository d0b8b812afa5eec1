"""The denoiser with classifier-free guidance, for one prompt and one attention.

Dimensions: P passes, F frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.modulation.windowed import window_count
from grainspec_runtime.processes.denoiser import Denoiser


class Step(NamedTuple):
    """Step ``number`` of ``total``, from 0, at the timestep ``t``."""

    number: int
    total: int
    t: Tensor


@dataclass(frozen=True)
class Guided:
    """The denoiser's guided output for encoded prompts, computed under ``attention``.

    ``latents`` are the clip's. Where the scale is 1, the unconditional pass is left out.
    """

    denoiser: Denoiser
    attention: Attention
    negative: Any
    prompt: Any
    latents: Tensor

    @property
    def windows(self) -> int:
        """The number of windows of one prediction."""
        return window_count(self.attention)

    def begin_step(self, step: Step) -> None:
        """Prepare for the predictions of a step."""
        self.attention.begin_step(step.number, step.total, float(step.t))

    def __call__(
        self,
        x_Fchw: Tensor,
        step: Step,
        scale: float,
        *,
        window_done: Callable[[int], None] = lambda done: None,
    ) -> Tensor:
        """Return the output for ``x`` with this scale of guidance, float32 ``[F, c, h, w]``."""
        guided = scale != 1
        with self.denoiser.checkpoint.installed(self.attention):
            output = self.denoiser(
                torch.cat([x_Fchw, x_Fchw]) if guided else x_Fchw,
                step.t,
                self._both if guided else self._conditional,
                self.attention,
                step=step.number,
                steps=step.total,
                window_done=window_done,
            )
        return with_guidance(output, scale) if guided else output

    @cached_property
    def _both(self) -> Any:
        return self._condition(self.negative, self.prompt)

    @cached_property
    def _conditional(self) -> Any:
        return self._condition(self.prompt)

    def _condition(self, *prompts: Any) -> Any:
        return self.denoiser.checkpoint.condition(prompts, self.latents)


def with_guidance(output_PFchw: Tensor, scale: float) -> Tensor:
    """Combine an unconditional and a conditional pass: u + scale (c − u)."""
    unconditional, conditional = output_PFchw.chunk(2)
    return unconditional + scale * (conditional - unconditional)
