"""The state between two sampling steps, as named tensors: save and restore it.

It consists of the latents, the state of the random generator and, for a solver, the history that
multistep solvers need. The names are those of diffusers' solvers, which
:mod:`grainspec_runtime.schedules.private_state` lists and checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from grainspec_runtime.schedules.private_state import state_names

LATENTS = "latents"


def latent_state(latents: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Return the state after a step without a solver; the latents are not copied."""
    return {LATENTS: latents, "generator": generator.get_state()}


def restored_latents(
    state: Mapping[str, Tensor], generator: torch.Generator, device: torch.device
) -> Tensor:
    """Restore a generator, and return the latents on a device.

    Raises KeyError if the saved state lacks one of them.
    """
    generator.set_state(state["generator"].cpu())
    return state[LATENTS].to(device)


def state_of(latents: Tensor, scheduler: Any, generator: torch.Generator) -> dict[str, Tensor]:
    """Return the state after a step; tensors are the scheduler's own, not copies.

    Raises GrainError (G529) if the scheduler lacks a part of its state.
    """
    names = state_names(scheduler, stepped=True)
    state = latent_state(latents, generator)
    for name in names.numbers:
        state[name] = torch.tensor(int(getattr(scheduler, name)))
    for name in names.lists:
        for index, item in enumerate(getattr(scheduler, name)):
            if item is not None:
                state[f"{name}.{index}"] = torch.as_tensor(item)
    for name in names.tensors:
        if getattr(scheduler, name) is not None:
            state[name] = getattr(scheduler, name)
    return state


def restored(
    state: Mapping[str, Tensor],
    scheduler: Any,
    generator: torch.Generator,
    device: torch.device,
) -> Tensor:
    """Restore a state in a scheduler, whose timesteps are set, and a generator; return the latents.

    Tensors are moved to ``device``. Raises GrainError (G529) if the scheduler lacks a part of its
    state, KeyError if the saved state does.
    """
    names = state_names(scheduler, stepped=False)
    for name in names.numbers:
        setattr(scheduler, name, int(state[name]))
    for name in names.lists:
        history = list(getattr(scheduler, name))
        for index in range(len(history)):
            if f"{name}.{index}" in state:
                history[index] = state[f"{name}.{index}"].to(device)
        setattr(scheduler, name, history)
    for name in names.tensors:
        if name in state:
            setattr(scheduler, name, state[name].to(device))
    return restored_latents(state, generator, device)
