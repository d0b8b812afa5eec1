"""The interface of a noise schedule.

At timestep t a latent is a mix of the clean latent and noise, x_t = a x_0 + b ε, with the *signal
rate* a and the *noise rate* b: a = √ᾱ, b = √(1 − ᾱ) for DDPM's schedules, a = 1 − σ, b = σ for flow
matching. Processes use these rates only, so they work with any schedule.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from grainspec.model.spec import Sampler, SamplerMethod


class Rates(NamedTuple):
    """The signal rate a and the noise rate b of x_t = a x_0 + b ε, scalar tensors."""

    signal: Tensor
    noise: Tensor


class Schedule(Protocol):
    """A checkpoint's noise schedule."""

    @property
    def methods(self) -> tuple[SamplerMethod, ...]:
        """The samplers that a spec can choose on this schedule."""

    def solver(self, sampler: Sampler, device: torch.device) -> Any:
        """Return a diffusers scheduler for a sampler, with its timesteps set, noisiest first."""

    def rates(self, t: Tensor, like: Tensor) -> Rates:
        """Return the rates at a timestep, on the device of ``like``."""

    def clean_rates(self, like: Tensor) -> Rates:
        """Return the rates at the end of sampling, which are those of the clip's latents."""

    def noise_of(self, output: Tensor, x: Tensor, rates: Rates) -> Tensor:
        """Return the noise ε in ``x`` at these rates, from the denoiser's ``output``."""
