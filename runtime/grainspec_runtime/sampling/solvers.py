"""The solvers that a spec can name, as diffusers' schedulers with a checkpoint's noise schedule.

All of them solve the same equation between the same points, so that one way of inversion (see
:mod:`grainspec_runtime.sampling.invert`) serves them all, at each one's own timesteps.
"""

from __future__ import annotations

from typing import Any

from diffusers import (
    DDIMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    UniPCMultistepScheduler,
)

from grainspec.model.spec import SamplerMethod

_CLASSES: dict[str, Any] = {
    "dpmpp": DPMSolverMultistepScheduler,
    "unipc": UniPCMultistepScheduler,
    "deis": DEISMultistepScheduler,
}


def solver(ddim: DDIMScheduler, method: SamplerMethod) -> Any:
    """A new scheduler of ``method`` on the noise schedule of a checkpoint's DDIM scheduler.

    DPM-Solver++ (Lu et al., 2022) and UniPC (Zhao et al., 2023) predict the clean picture, DEIS
    (Zhang and Chen, 2023) the noise; all are of second order here, the last steps of first.
    """
    if method == "ddim":
        return DDIMScheduler.from_config(ddim.config)
    return _CLASSES[method].from_config(ddim.config, solver_order=2)
