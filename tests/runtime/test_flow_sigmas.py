"""Noise levels of flow matching, computed without torch: those of diffusers' schedulers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from diffusers import (
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)

from grainspec.model.spec import SamplerMethod
from grainspec_runtime.schedules.flow_sigmas import flow_shift, flow_sigmas, flow_timesteps

METHODS: dict[Any, SamplerMethod] = {
    UniPCMultistepScheduler: "unipc",
    DPMSolverMultistepScheduler: "dpmpp",
    DEISMultistepScheduler: "deis",
}
FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}


def config_of(scheduler: Any) -> dict[str, Any]:
    """A scheduler's configuration as it is saved."""
    return {**scheduler.config, "_class_name": type(scheduler).__name__}


@pytest.mark.parametrize("shift", [1.0, 2.5, 3.0, 5.0, 16.0])
@pytest.mark.parametrize("training_steps", [1000, 500])
@pytest.mark.parametrize("kind", [*METHODS, FlowMatchEulerDiscreteScheduler])
def test_levels_are_those_of_diffusers(kind: Any, training_steps: int, shift: float) -> None:
    settings = {"shift": shift} if kind not in METHODS else {**FLOW, "flow_shift": shift}
    scheduler = kind(num_train_timesteps=training_steps, **settings)
    config = config_of(scheduler)
    for steps in (1, 2, 3, 8, 25, 50, 99, 333):
        scheduler.set_timesteps(steps)
        # Euler's method takes the levels of the checkpoint's own scheduler
        for method in ("ddim", METHODS.get(kind, "ddim")):
            assert flow_timesteps(config, steps, method) == scheduler.timesteps.tolist()
            levels = np.float32(flow_sigmas(config, steps, method))
            assert (levels == scheduler.sigmas[:-1].numpy()).all()
            assert levels.max() <= 1
            assert (np.diff(levels) < 0).all()


@pytest.mark.parametrize("kind", METHODS)
def test_a_solver_takes_the_checkpoints_shift(kind: Any) -> None:
    wan = config_of(FlowMatchEulerDiscreteScheduler(shift=5.0))
    assert flow_shift(wan) == 5
    own = kind(**FLOW, flow_shift=5.0)
    own.set_timesteps(20)
    assert flow_timesteps(wan, 20, METHODS[kind]) == own.timesteps.tolist()


def test_most_steps_are_noisy() -> None:
    wan = config_of(UniPCMultistepScheduler(**FLOW, flow_shift=5.0))
    assert sum(sigma >= 0.6 for sigma in flow_sigmas(wan, 25)) == 20
