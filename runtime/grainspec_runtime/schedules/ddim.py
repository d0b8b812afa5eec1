"""The noise schedules of DDPM, and DDIM and faster solvers for them.

A spec names one of four solvers. All of them solve the same equation between the same end points,
so the inversion (see :mod:`grainspec_runtime.processes.invert`) is the same for all, at the
timesteps of the solver.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from grainspec.diagnostics.span import Span
from grainspec.model.spec import Sampler, SamplerMethod
from grainspec_runtime.models.config import read_json
from grainspec_runtime.schedules.private_state import state_names
from grainspec_runtime.schedules.schedule import Rates

_CLASSES: dict[SamplerMethod, Any] = {
    "dpmpp": DPMSolverMultistepScheduler,
    "unipc": UniPCMultistepScheduler,
    "deis": DEISMultistepScheduler,
}


@dataclass(frozen=True)
class DdimSchedule:
    """The schedule of a checkpoint, from its DDIM scheduler."""

    scheduler: DDIMScheduler

    @property
    def methods(self) -> tuple[SamplerMethod, ...]:
        """DDIM, and the faster solvers of the same equation."""
        return ("ddim", *_CLASSES)

    def solver(self, sampler: Sampler, device: torch.device) -> Any:
        """Return the spec's solver on this schedule, with its timesteps set."""
        scheduler = solver(self.scheduler, sampler.method)
        scheduler.set_timesteps(sampler.steps, device=device)
        state_names(scheduler, stepped=False)  # before the inversion, which takes long
        return scheduler

    def rates(self, solver: Any, like: Tensor) -> list[Rates]:
        """Return √ᾱ and √(1 − ᾱ) at each timestep, then those at the end of sampling."""
        alphas = self.scheduler.alphas_cumprod.to(like.device)
        end = self.scheduler.final_alpha_cumprod.to(like.device, torch.float32)
        return [*(_rates(alphas[t]) for t in solver.timesteps), _rates(end)]

    def facts(self, solver: Any) -> dict[str, Any]:
        """Return the timesteps, which say all about the levels of one noise schedule."""
        return {"timesteps": solver.timesteps.tolist()}

    def direction(self, output: Tensor, x: Tensor, rates: Rates) -> Tensor:
        """Return the noise in ``x``, from a network output of the checkpoint's prediction type."""
        kind = self.scheduler.config.prediction_type
        if kind == "epsilon":
            return output
        if kind == "v_prediction":
            return rates.signal * output + rates.noise * x
        if kind == "sample":
            return (x - rates.signal * output) / rates.noise
        raise ValueError(f"prediction type {kind!r} is not one of epsilon, v_prediction, sample")

    def moved(self, x: Tensor, direction: Tensor, here: Rates, there: Rates) -> Tensor:
        """Return a' (x − b ε) / a + b' ε: DDIM with η = 0, for the noise ε in ``x``."""
        return there.signal * (x - here.noise * direction) / here.signal + there.noise * direction


def _rates(alpha_cumprod: Tensor) -> Rates:
    return Rates(alpha_cumprod.sqrt(), (1 - alpha_cumprod).sqrt())


def ddim_scheduler(
    folder: Path, told: Mapping[str, Any] = MappingProxyType({}), span: Span | None = None
) -> DDIMScheduler:
    """Make a DDIM scheduler with the noise schedule of a checkpoint, whatever sampler it names.

    ``told`` are settings that the weights say themselves, which count before the configuration.

    Settings of DDIM that the checkpoint's own sampler lacks get the values of diffusers' Stable
    Diffusion pipeline. DDIM's defaults are for another model, and clip latents to [-1, 1].
    """
    saved = read_json(folder / "scheduler_config.json", span)
    settings = {
        "timestep_spacing": "leading",
        "clip_sample": False,
        "thresholding": False,
        "steps_offset": saved.get("steps_offset", 1),
        "set_alpha_to_one": saved.get("set_alpha_to_one", False),
        **told,
    }
    return DDIMScheduler.from_pretrained(folder, **settings)


def solver(ddim: DDIMScheduler, method: SamplerMethod) -> Any:
    """Make a scheduler of ``method`` with the noise schedule of a checkpoint's DDIM scheduler.

    DPM-Solver++ (Lu et al., 2022) and UniPC (Zhao et al., 2023) predict the clean latents, DEIS
    (Zhang and Chen, 2023) the noise. All are second order here; the last steps are first order.
    """
    if method == "ddim":
        return DDIMScheduler.from_config(ddim.config)
    return _CLASSES[method].from_config(ddim.config, solver_order=2)
