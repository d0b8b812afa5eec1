"""All that a sampling step hands on to the next, as tensors by name, and back again.

The latents, what solvers of several steps remember of earlier ones, and where the generator of
noise stands. The names are those of diffusers' schedulers.
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
    """The state after a step; tensors are the scheduler's own, not copies."""
    found = {LATENTS: latents, "generator": generator.get_state()}
    for name in _NUMBERS:
        value = getattr(scheduler, name, None)
        if value is not None:
            found[name] = torch.tensor(int(value))
    for name in _LISTS:
        for index, one in enumerate(getattr(scheduler, name, ())):
            if one is not None:
                found[f"{name}.{index}"] = torch.as_tensor(one)
    for name in _TENSORS:
        if getattr(scheduler, name, None) is not None:
            found[name] = getattr(scheduler, name)
    return found


def restored(
    state: Mapping[str, Tensor],
    scheduler: Any,
    generator: torch.Generator,
    device: torch.device,
) -> Tensor:
    """The latents of a state, with a scheduler (its timesteps set) and a generator put back to it.

    Tensors go to ``device``.
    """
    generator.set_state(state["generator"].cpu())
    for name in _NUMBERS:
        if name in state:
            setattr(scheduler, name, int(state[name]))
    for name in _LISTS:
        kept = list(getattr(scheduler, name, ()))
        for index in range(len(kept)):
            if f"{name}.{index}" in state:
                kept[index] = state[f"{name}.{index}"].to(device)
        if kept:
            setattr(scheduler, name, kept)
    for name in _TENSORS:
        if name in state:
            setattr(scheduler, name, state[name].to(device))
    return state[LATENTS].to(device)
