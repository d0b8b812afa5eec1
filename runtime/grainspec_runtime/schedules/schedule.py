"""What a noise schedule is to the processes that move latents along it.

At a timestep t a latent is a mix of the clean one and noise, x_t = a x_0 + b ε, with a the *signal
rate* and b the *noise rate*: a = √ᾱ, b = √(1 − ᾱ) for DDPM's schedules, a = 1 − σ, b = σ for flow
matching. Processes know these rates, and never where they come from.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from grainspec.model.spec import Sampler


class Rates(NamedTuple):
    """The signal rate a and the noise rate b of x_t = a x_0 + b ε, scalar tensors."""

    signal: Tensor
    noise: Tensor


class Schedule(Protocol):
    """A checkpoint's noise schedule."""

    def solver(self, sampler: Sampler, device: torch.device) -> Any:
        """A scheduler of diffusers for a spec's sampler, its timesteps set, the noisiest first."""

    def rates(self, t: Tensor, like: Tensor) -> Rates:
        """The rates at a timestep, on the device of ``like``."""

    def clean_rates(self, like: Tensor) -> Rates:
        """The rates at the end of sampling, where the clip's own latents stand."""

    def noise_of(self, output: Tensor, x: Tensor, rates: Rates) -> Tensor:
        """The noise ε in ``x`` at these rates, by the denoiser's ``output`` there."""
