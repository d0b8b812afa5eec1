"""The noise schedules of DDPM, as DDIM and its faster relatives sample them.

A spec can name one of four solvers. All of them solve the same equation between the same points,
so that one inversion (see :mod:`grainspec_runtime.processes.invert`) serves them all, at each one's
own timesteps.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
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
from grainspec_runtime.backbones.locate import read_json
from grainspec_runtime.schedules.schedule import Rates

_CLASSES: dict[str, Any] = {
    "dpmpp": DPMSolverMultistepScheduler,
    "unipc": UniPCMultistepScheduler,
    "deis": DEISMultistepScheduler,
}


@dataclass(frozen=True)
class DdimSchedule:
    """The schedule of a checkpoint, given as a DDIM scheduler."""

    scheduler: DDIMScheduler

    def solver(self, sampler: Sampler, device: torch.device) -> Any:
        """The spec's solver on this schedule, its timesteps set."""
        scheduler = solver(self.scheduler, sampler.method)
        scheduler.set_timesteps(sampler.steps, device=device)
        return scheduler

    def rates(self, t: Tensor, like: Tensor) -> Rates:
        """√ᾱ and √(1 − ᾱ) at a timestep, on the device of ``like``."""
        return _rates(self.scheduler.alphas_cumprod.to(like.device)[t])

    def clean_rates(self, like: Tensor) -> Rates:
        """√ᾱ and √(1 − ᾱ) at the end of sampling, on the device and in the dtype of ``like``."""
        return _rates(self.scheduler.final_alpha_cumprod.to(like))

    def noise_of(self, output: Tensor, x: Tensor, rates: Rates) -> Tensor:
        """The noise that a network of the checkpoint's prediction type says is in ``x``."""
        kind = self.scheduler.config.prediction_type
        if kind == "epsilon":
            return output
        if kind == "v_prediction":
            return rates.signal * output + rates.noise * x
        if kind == "sample":
            return (x - rates.signal * output) / rates.noise
        raise ValueError(f"prediction type {kind!r} is not one of epsilon, v_prediction, sample")


def _rates(alpha_cumprod: Tensor) -> Rates:
    return Rates(alpha_cumprod.sqrt(), (1 - alpha_cumprod).sqrt())


def ddim_scheduler(folder: Path, span: Span | None) -> DDIMScheduler:
    """A DDIM scheduler with the noise schedule of a checkpoint, whichever sampler it names.

    What DDIM knows and the checkpoint's own sampler does not is set as diffusers' Stable Diffusion
    pipeline sets it; DDIM's defaults are those of another model, and clip latents to [-1, 1].
    """
    saved = read_json(folder / "scheduler_config.json", span)
    return DDIMScheduler.from_pretrained(
        folder,
        timestep_spacing="leading",
        clip_sample=False,
        thresholding=False,
        steps_offset=saved.get("steps_offset", 1),
        set_alpha_to_one=saved.get("set_alpha_to_one", False),
    )


def solver(ddim: DDIMScheduler, method: SamplerMethod) -> Any:
    """A new scheduler of ``method`` on the noise schedule of a checkpoint's DDIM scheduler.

    DPM-Solver++ (Lu et al., 2022) and UniPC (Zhao et al., 2023) predict the clean picture, DEIS
    (Zhang and Chen, 2023) the noise; all are of second order here, the last steps of first.
    """
    if method == "ddim":
        return DDIMScheduler.from_config(ddim.config)
    return _CLASSES[method].from_config(ddim.config, solver_order=2)
