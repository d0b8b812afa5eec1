"""The interface of a noise schedule.

At every step of a run a latent is a mix of the clean latent and noise, x = a x_0 + b ε, with the
*signal rate* a and the *noise rate* b: a = √ᾱ, b = √(1 − ᾱ) for DDPM's schedules, a = 1 − σ, b = σ
for flow matching. Processes know these rates, and move latents between them; they work with any
schedule.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from grainspec.model.spec import Sampler, SamplerMethod


class Rates(NamedTuple):
    """The signal rate a and the noise rate b of x = a x_0 + b ε, scalar tensors."""

    signal: Tensor
    noise: Tensor


class Schedule(Protocol):
    """A checkpoint's noise schedule."""

    @property
    def methods(self) -> tuple[SamplerMethod, ...]:
        """The samplers that a spec can choose on this schedule."""

    def solver(self, sampler: Sampler, device: torch.device) -> Any:
        """Return a diffusers scheduler for a sampler, with its timesteps set, noisiest first."""

    def rates(self, solver: Any, like: Tensor) -> list[Rates]:
        """Return the rates at each timestep of a solver, then those at the end of sampling.

        There is one more than timesteps. The last are those of the clip's latents. All are on the
        device of ``like``.
        """

    def facts(self, solver: Any) -> dict[str, Any]:
        """Return what identifies the noise levels of a solver, as JSON values."""

    def direction(self, output: Tensor, x: Tensor, rates: Rates) -> Tensor:
        """Return what :meth:`moved` needs of the denoiser's ``output`` for ``x`` at these rates.

        It changes little from step to step: the noise ε, or the velocity of flow matching.
        """

    def moved(self, x: Tensor, direction: Tensor, here: Rates, there: Rates) -> Tensor:
        """Move ``x`` in a direction, from the rates that it has to others: one Euler step.

        ``here`` may be those of the clean latents, but not of pure noise; ``there`` may be any.
        """
