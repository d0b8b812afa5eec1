"""The noise level at a step of any diffusers scheduler, as a timestep of a plan's schedule.

The schedule of a plan is ξ(t) = (t / T)^p. For flow-matching models t is T σ, which all schedulers
of flow matching have. For all others t is a timestep of DDPM's schedule of T. Other schedulers
number their steps by other quantities. Each stands for a noise-to-signal ratio σ = b / a of the
latent x = a x₀ + b ε, and t is the timestep at which Stable Diffusion's own schedule has this
ratio:

- *discrete*: the scheduler's timesteps are DDPM's; t as it is, scaled if its T is another;
- *log sigma*: EDM's c = ln(σ) / 4, where σ counts in units of the data's deviation;
- *flow*: c = T s with x = (1 − s) x₀ + s ε, so σ = s / (1 − s).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from grainspec.diagnostics import fail

Kind = Literal["discrete", "log sigma", "flow"]

_LOG_SIGMA = {"EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"}
_FLOW = {
    "FlowMatchEulerDiscreteScheduler",
    "FlowMatchHeunDiscreteScheduler",
    "FlowMatchLCMScheduler",
}
_BETAS = (0.00085, 0.012)  # of Stable Diffusion 1.x, 2.x and XL: the square roots are linear


def kind_of_timesteps(scheduler: Any) -> Kind:
    """Return what a scheduler's timesteps are; raises GrainError (G412) if they are none of these.

    A subclass counts as its parent class.
    """
    config = scheduler.config
    names = {parent.__name__ for parent in type(scheduler).__mro__}
    of_ddpm = hasattr(scheduler, "alphas_cumprod")
    if names & _FLOW or (of_ddpm and config.get("use_flow_sigmas")):
        return "flow"
    continuous = config.get("timestep_type") == "continuous"
    if names & _LOG_SIGMA or (continuous and config.get("prediction_type") == "v_prediction"):
        return "log sigma"
    if of_ddpm:
        return "discrete"
    message = f"the timesteps of {type(scheduler).__name__} are no noise levels that a plan knows"
    cure = "Use a scheduler with DDPM's timesteps, one of EDM's, or a FlowMatch scheduler."
    raise fail("G412", message, cure)


def flow_timestep(scheduler: Any, timestep: float, training_steps: int) -> float:
    """Return the timestep T σ of flow matching, of T = ``training_steps``, of the same noise level.

    Raises GrainError (G412) if the scheduler is not one of flow matching.
    """
    if kind_of_timesteps(scheduler) != "flow":
        message = f"the timesteps of {type(scheduler).__name__} are not those of flow matching"
        raise fail("G412", message, "Use the model's own scheduler, or another for flow matching.")
    return _discrete(scheduler, timestep, training_steps)


def ddpm_timestep(scheduler: Any, timestep: float, training_steps: int) -> float:
    """Return the timestep of DDPM's schedule, of T = ``training_steps``, with the same noise level.

    Raises GrainError (G412) if the scheduler's timesteps are of an unknown kind.
    """
    return _CONVERSIONS[kind_of_timesteps(scheduler)](scheduler, timestep, training_steps)


def _discrete(scheduler: Any, timestep: float, training_steps: int) -> float:
    own = scheduler.config.num_train_timesteps
    return timestep if own == training_steps else timestep * training_steps / own


def _log_sigma(scheduler: Any, timestep: float, training_steps: int) -> float:
    deviation = scheduler.config.get("sigma_data", 1.0)
    return _at_log_ratio(4 * timestep - math.log(deviation), training_steps)


def _flow(scheduler: Any, timestep: float, training_steps: int) -> float:
    share = timestep / scheduler.config.num_train_timesteps
    share = min(max(share, 1e-6), 1 - 1e-6)
    return _at_log_ratio(math.log(share / (1 - share)), training_steps)


_CONVERSIONS: dict[Kind, Callable[[Any, float, int], float]] = {
    "discrete": _discrete,
    "log sigma": _log_sigma,
    "flow": _flow,
}


def _at_log_ratio(log_ratio: float, training_steps: int) -> float:
    ratios = _log_ratios(training_steps)
    return float(np.interp(log_ratio, ratios, np.arange(training_steps)))


@cache
def _log_ratios(training_steps: int) -> npt.NDArray[np.float64]:
    """Return ln σ of Stable Diffusion's schedule at every timestep, in ascending order."""
    first, last = (math.sqrt(beta) for beta in _BETAS)
    signal = np.cumprod(1 - np.linspace(first, last, training_steps) ** 2)
    return np.asarray(0.5 * np.log((1 - signal) / signal))
