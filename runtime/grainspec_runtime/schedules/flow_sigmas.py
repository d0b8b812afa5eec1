"""The noise levels of a flow-matching run, computed without torch from a scheduler's configuration.

A latent at noise level σ is x = (1 − σ) x₀ + σ ε. A run evaluates the network at n levels, σ₀ > … >
σₙ₋₁, and ends at 0. A *shift* s moves levels towards noise: σ' = sσ / (1 + (s − 1)σ). Timesteps are
t = Tσ; diffusers' multistep schedulers round them down to whole numbers.

The levels are those of diffusers' schedulers, each with its own spacing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from grainspec.model.spec import SamplerMethod

Levels = npt.NDArray[Any]
Config = Mapping[str, Any]

EULER = "FlowMatchEulerDiscreteScheduler"
MULTISTEP = {
    "UniPCMultistepScheduler": "unipc",
    "DPMSolverMultistepScheduler": "dpmpp",
    "DEISMultistepScheduler": "deis",
}
"""diffusers' multistep schedulers that can run a flow-matching model, and a spec's word for each.

They do so with ``use_flow_sigmas`` and the prediction type ``flow_prediction``.
"""


def flow_sigmas(scheduler: Config, steps: int, method: SamplerMethod = "ddim") -> list[float]:
    """Return the noise levels of ``steps`` network calls, from the noisiest, without the final 0.

    ``scheduler`` is a checkpoint's scheduler configuration. For the method ``ddim``, which is
    Euler's, they are the levels of the checkpoint's own scheduler; for others those of diffusers'
    scheduler of the method, with the checkpoint's shift.

    >>> wan = {"_class_name": "UniPCMultistepScheduler", "flow_shift": 3.0}
    >>> [round(sigma, 3) for sigma in flow_sigmas(wan, 4)]
    [1.0, 0.9, 0.75, 0.501]
    """
    return [float(sigma) for sigma in _levels(scheduler, steps, method)]


def flow_timesteps(scheduler: Config, steps: int, method: SamplerMethod = "ddim") -> list[float]:
    """Return the timesteps of ``steps`` network calls, from the noisiest; see :func:`flow_sigmas`.

    >>> wan = {"_class_name": "UniPCMultistepScheduler", "flow_shift": 3.0}
    >>> flow_timesteps(wan, 4)
    [999.0, 900.0, 750.0, 500.0]
    """
    times = _levels(scheduler, steps, method) * training_steps(scheduler)
    if _spacing(scheduler, method) != "euler":
        times = times.astype(np.int64)
    return [float(t) for t in times]


def training_steps(scheduler: Config) -> int:
    """Return T, the timestep of pure noise."""
    return int(scheduler.get("num_train_timesteps") or 1000)


def flow_shift(scheduler: Config) -> float:
    """Return the shift s of a scheduler, which FlowMatch schedulers call by another name."""
    name = "shift" if scheduler.get("_class_name") == EULER else "flow_shift"
    shift = scheduler.get(name)
    return 1.0 if shift is None else float(shift)


def _spacing(scheduler: Config, method: SamplerMethod) -> str:
    if method != "ddim":
        return method
    return MULTISTEP.get(str(scheduler.get("_class_name")), "euler")


def _levels(scheduler: Config, steps: int, method: SamplerMethod) -> Levels:
    least = 1 / training_steps(scheduler)
    return _SPACINGS[_spacing(scheduler, method)](steps, least, flow_shift(scheduler))


def _euler(steps: int, least: float, shift: float) -> Levels:
    """Return levels that are linear from 1 to the least shifted level, and are then shifted."""
    # diffusers shifts its least level when a scheduler is made, and all levels in a run
    whole = round(1 / least)
    last = np.float32(1) / np.float32(whole)
    last = np.float32(shift) * last / (1 + np.float32(shift - 1) * last)
    even = np.linspace(whole, float(last) * whole, steps) / whole
    return _shifted(even, shift).astype(np.float32)


def _unipc(steps: int, least: float, shift: float) -> Levels:
    levels = _shifted(np.linspace(1, least, steps + 1)[:-1], shift)
    levels[0] = min(levels[0], 1 - 1e-6)
    return levels


def _dpmpp(steps: int, least: float, shift: float) -> Levels:
    return np.flip(_shifted(1 - np.linspace(1, least, steps + 1), shift))[:-1]


def _shifted(levels: Levels, shift: float) -> Levels:
    return np.asarray(shift * levels / (1 + (shift - 1) * levels))


_SPACINGS: dict[str, Callable[[int, float, float], Levels]] = {
    "euler": _euler,
    "unipc": _unipc,
    "dpmpp": _dpmpp,
    "deis": _dpmpp,
}
