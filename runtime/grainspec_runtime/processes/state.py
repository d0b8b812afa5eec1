"""The state between two sampling steps, as named tensors: save and restore it.

It consists of the latents, the history that multistep solvers need, and the state of the random
generator. The names are those of diffusers' schedulers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

LATENTS = "latents"
_NUMBERS = ("_step_index", "lower_order_nums", "this_order")
_LISTS = ("model_outputs", "timestep_list")
_TENSORS = ("last_sample",)


def state_of(latents: Tensor, scheduler: Any, generator: torch.Generator) -> dict[str, Tensor]:
    """Return the state after a step; tensors are the scheduler's own, not copies."""
    state = {LATENTS: latents, "generator": generator.get_state()}
    for name in _NUMBERS:
        value = getattr(scheduler, name, None)
        if value is not None:
            state[name] = torch.tensor(int(value))
    for name in _LISTS:
        for index, item in enumerate(getattr(scheduler, name, ())):
            if item is not None:
                state[f"{name}.{index}"] = torch.as_tensor(item)
    for name in _TENSORS:
        if getattr(scheduler, name, None) is not None:
            state[name] = getattr(scheduler, name)
    return state


def restored(
    state: Mapping[str, Tensor],
    scheduler: Any,
    generator: torch.Generator,
    device: torch.device,
) -> Tensor:
    """Restore a state in a scheduler, whose timesteps are set, and a generator; return the latents.

    Tensors are moved to ``device``.
    """
    generator.set_state(state["generator"].cpu())
    for name in _NUMBERS:
        if name in state:
            setattr(scheduler, name, int(state[name]))
    for name in _LISTS:
        history = list(getattr(scheduler, name, ()))
        for index in range(len(history)):
            if f"{name}.{index}" in state:
                history[index] = state[f"{name}.{index}"].to(device)
        if history:
            setattr(scheduler, name, history)
    for name in _TENSORS:
        if name in state:
            setattr(scheduler, name, state[name].to(device))
    return state[LATENTS].to(device)
