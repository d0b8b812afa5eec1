"""The noise schedules of flow matching, and their solvers.

A latent at noise level σ is x = (1 − σ) X + σ N, with the clip X and noise N, and the network
predicts the velocity v = N − X along σ. Euler's step x + (σ' − σ) v is then what DDIM is for DDPM's
schedules, so it is the method ``ddim`` here. No division by 1 − σ occurs: σ is 1 in the first step.

Timesteps are T σ. Levels are shifted towards noise, σ' = s σ / (1 + (s − 1) σ), with the shift s of
the checkpoint's own scheduler.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import (
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from grainspec.model.spec import Sampler, SamplerMethod
from grainspec_runtime.schedules.private_state import state_names
from grainspec_runtime.schedules.schedule import Rates

_CLASSES: dict[SamplerMethod, Any] = {
    "dpmpp": DPMSolverMultistepScheduler,
    "unipc": UniPCMultistepScheduler,
    "deis": DEISMultistepScheduler,
}

_ALMOST_CLEAN = 1e-6
"""The last noise level of DEIS, which has the logarithm of levels. diffusers repeats the level
before, so that its last step does nothing, and leaves the noise of that level in the picture."""


@dataclass(frozen=True)
class FlowSchedule:
    """The schedule of a checkpoint, from its own scheduler.

    ``scheduler`` is a ``FlowMatchEulerDiscreteScheduler``, or a multistep solver of diffusers with
    ``use_flow_sigmas``.
    """

    scheduler: Any

    @property
    def methods(self) -> tuple[SamplerMethod, ...]:
        """Euler's method, and faster solvers of the same equation."""
        return ("ddim", *_CLASSES)

    @property
    def shift(self) -> float:
        """How far levels are shifted towards noise; 1 leaves them evenly spaced."""
        config = self.scheduler.config
        return float(config.get("flow_shift", config.get("shift", 1.0)))

    def solver(self, sampler: Sampler, device: torch.device) -> Any:
        """Return the spec's solver on this schedule, with its timesteps set.

        `ddim` takes Euler's steps between the levels of the checkpoint's own scheduler, whatever
        solver that is. Other solvers have levels of their own, with the checkpoint's shift.
        """
        if sampler.method == "ddim":
            scheduler = self._euler(sampler.steps, device)
        else:
            scheduler = self._multistep(_CLASSES[sampler.method])
            scheduler.set_timesteps(sampler.steps, device=device)
            if sampler.method == "deis":
                scheduler.sigmas[-1] = _ALMOST_CLEAN
        scheduler.set_begin_index(0)  # rounded timesteps may be equal: they do not tell the step
        state_names(scheduler, stepped=False)  # before the inversion, which takes long
        return scheduler

    def rates(self, solver: Any, like: Tensor) -> list[Rates]:
        """Return 1 − σ and σ at each timestep, then 1 and 0.

        Timesteps themselves do not tell: those of multistep solvers are rounded.
        """
        sigmas = solver.sigmas[:-1].to(like.device, torch.float32)
        return [Rates(1 - sigma, sigma) for sigma in (*sigmas, torch.zeros_like(sigmas[0]))]

    def facts(self, solver: Any) -> dict[str, Any]:
        """Return the timesteps, and the noise levels σ."""
        return {"timesteps": solver.timesteps.tolist(), "sigmas": solver.sigmas.tolist()}

    def direction(self, output: Tensor, x: Tensor, rates: Rates) -> Tensor:
        """Return the velocity N − X, which is the network's output."""
        return output

    def moved(self, x: Tensor, direction: Tensor, here: Rates, there: Rates) -> Tensor:
        """Return x + (σ' − σ) v, for the velocity v."""
        return x + (there.noise - here.noise) * direction

    def _euler(self, steps: int, device: torch.device) -> FlowMatchEulerDiscreteScheduler:
        kind, config = type(self.scheduler), self.scheduler.config
        own = kind.from_config(config)
        own.set_timesteps(steps, device=device)
        if kind is FlowMatchEulerDiscreteScheduler:
            return own
        euler = FlowMatchEulerDiscreteScheduler(config.num_train_timesteps)
        levels, timesteps = own.sigmas[:-1].tolist(), own.timesteps.tolist()
        euler.set_timesteps(sigmas=levels, timesteps=timesteps, device=device)
        return euler

    def _multistep(self, kind: Any) -> Any:
        """Make a solver; of the checkpoint's own class, with its own configuration."""
        config = self.scheduler.config
        settings = {
            "num_train_timesteps": config.num_train_timesteps,
            "prediction_type": "flow_prediction",
            "use_flow_sigmas": True,
            "flow_shift": self.shift,
            "final_sigmas_type": "zero",
            "solver_order": 2,
        }
        return kind.from_config(config if type(self.scheduler) is kind else {}, **settings)
