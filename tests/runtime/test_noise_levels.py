"""The noise level at the steps of every scheduler of diffusers."""

from __future__ import annotations

import inspect
import math
from itertools import pairwise
from typing import Any

import diffusers
import pytest
import torch

from grainspec import GrainError
from grainspec_runtime.schedules.noise_levels import ddpm_timestep, kind_of_timesteps

STABLE_DIFFUSION = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
CONTINUOUS = {"timestep_type": "continuous", "prediction_type": "v_prediction"}
FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    **dict.fromkeys(
        (
            "CogVideoXDDIMScheduler",
            "CogVideoXDPMScheduler",
            "DDIMInverseScheduler",
            "DDIMParallelScheduler",
            "DDIMScheduler",
            "DDPMParallelScheduler",
            "DDPMScheduler",
            "DEISMultistepScheduler",
            "DPMSolverMultistepInverseScheduler",
            "DPMSolverMultistepScheduler",
            "DPMSolverSDEScheduler",
            "DPMSolverSinglestepScheduler",
            "EulerAncestralDiscreteScheduler",
            "EulerDiscreteScheduler",
            "HeunDiscreteScheduler",
            "KDPM2AncestralDiscreteScheduler",
            "KDPM2DiscreteScheduler",
            "LCMScheduler",
            "LMSDiscreteScheduler",
            "PNDMScheduler",
            "SASolverScheduler",
            "TCDScheduler",
            "UniPCMultistepScheduler",
        ),
        ("discrete", STABLE_DIFFUSION),
    ),
    "RePaintScheduler": ("discrete", {}),
    "UnCLIPScheduler": ("discrete", {}),
    "EDMDPMSolverMultistepScheduler": ("log sigma", {}),
    "EDMEulerScheduler": ("log sigma", {}),
    "FlowMatchEulerDiscreteScheduler": ("flow", {}),
    "FlowMatchHeunDiscreteScheduler": ("flow", {}),
    "FlowMatchLCMScheduler": ("flow", {}),
}
"""All that are supported; every other one that can be made is refused."""

MODES = {
    "Euler, continuous": ("EulerDiscreteScheduler", CONTINUOUS, "log sigma"),
    "Euler, Karras": ("EulerDiscreteScheduler", {"use_karras_sigmas": True}, "discrete"),
    "Euler, trailing": ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}, "discrete"),
    "DPM-Solver++, Karras": (
        "DPMSolverMultistepScheduler",
        {"use_karras_sigmas": True},
        "discrete",
    ),
    "DPM-Solver++, lu": ("DPMSolverMultistepScheduler", {"use_lu_lambdas": True}, "discrete"),
    "DPM-Solver++, flow": ("DPMSolverMultistepScheduler", FLOW, "flow"),
    "UniPC, flow": ("UniPCMultistepScheduler", FLOW, "flow"),
    "DDIM, zero terminal SNR": ("DDIMScheduler", {"rescale_betas_zero_snr": True}, "discrete"),
}


def made(name: str, settings: dict[str, Any]) -> Any:
    if not hasattr(diffusers, name):
        pytest.skip("this release of diffusers has none")
    try:
        return getattr(diffusers, name)(**settings)
    except ImportError as error:  # some need scipy or torchsde
        pytest.skip(str(error))


def levels(scheduler: Any, training_steps: int = 1000) -> list[float]:
    scheduler.set_timesteps(10)
    return [ddpm_timestep(scheduler, float(t), training_steps) for t in scheduler.timesteps]


def assert_falls(found: list[float]) -> None:
    """Solvers of second order name a level twice, rounded differently."""
    assert all(later <= earlier + 1e-3 for earlier, later in pairwise(found))


@pytest.mark.parametrize("name", KINDS)
def test_every_scheduler_has_noise_levels(name: str) -> None:
    kind, settings = KINDS[name]
    scheduler = made(name, settings)
    assert kind_of_timesteps(scheduler) == kind
    found = levels(scheduler)
    if "Inverse" in name:
        found.reverse()
    assert_falls(found)
    assert 850 <= found[0] <= 1000
    assert 0 <= found[-1] <= 320  # EDM's last σ of ten is at t = 305 for its data's deviation
    if kind == "discrete":
        assert set(found) == {float(t) for t in scheduler.timesteps}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_has_noise_levels(mode: str) -> None:
    name, settings, kind = MODES[mode]
    scheduler = made(name, STABLE_DIFFUSION | settings)
    assert kind_of_timesteps(scheduler) == kind
    found = levels(scheduler)
    assert_falls(found)
    assert 850 <= found[0] <= 1000


def test_other_schedulers_are_told() -> None:
    refused = []
    for name, scheduler_class in inspect.getmembers(diffusers, inspect.isclass):
        if not name.endswith("Scheduler") or name in KINDS or name.startswith("Flax"):
            continue
        try:
            scheduler = scheduler_class()
        except (ImportError, TypeError):
            continue
        with pytest.raises(GrainError, match=f"G412.*{name}"):
            kind_of_timesteps(scheduler)
        refused.append(name)
    assert {"CMStochasticIterativeScheduler", "IPNDMScheduler", "KarrasVeScheduler"} <= set(refused)


@pytest.mark.parametrize("timestep", [1, 250, 600, 998])
def test_the_same_noise_level_is_the_same_timestep(timestep: int) -> None:
    """σ from Stable Diffusion's own table, in the words of each kind."""
    table = diffusers.DDIMScheduler(**STABLE_DIFFUSION).alphas_cumprod.double()
    ratio = float(((1 - table[timestep]) / table[timestep]).sqrt())
    edm = diffusers.EDMEulerScheduler()
    theirs = 0.25 * math.log(ratio * edm.config.sigma_data)
    assert ddpm_timestep(edm, theirs, 1000) == pytest.approx(timestep, abs=0.01)
    flow = diffusers.FlowMatchEulerDiscreteScheduler()
    theirs = 1000 * ratio / (1 + ratio)
    assert ddpm_timestep(flow, theirs, 1000) == pytest.approx(timestep, abs=0.01)
    euler = diffusers.EulerDiscreteScheduler(**STABLE_DIFFUSION, **CONTINUOUS)
    assert ddpm_timestep(euler, 0.25 * math.log(ratio), 1000) == pytest.approx(timestep, abs=0.01)


def test_other_numbers_of_training_steps_are_scaled() -> None:
    scheduler = diffusers.DDIMScheduler(num_train_timesteps=500)
    assert ddpm_timestep(scheduler, 250.0, 1000) == 500
    assert ddpm_timestep(scheduler, float(torch.tensor(250)), 500) == 250


def test_ends_are_finite() -> None:
    flow = diffusers.FlowMatchEulerDiscreteScheduler()
    assert ddpm_timestep(flow, 1000.0, 1000) == 999
    assert ddpm_timestep(flow, 0.0, 1000) == 0
