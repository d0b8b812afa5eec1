"""The private state of solvers: whole, or an error that names what is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler, PNDMScheduler

from grainspec import GrainError
from grainspec.model.spec import Sampler, SamplerMethod
from grainspec_runtime.processes.state import restored, state_of
from grainspec_runtime.schedules.ddim import DdimSchedule, solver
from grainspec_runtime.schedules.flow_matching import FlowSchedule
from grainspec_runtime.schedules.private_state import TESTED, state_names

METHODS = DdimSchedule(DDIMScheduler()).methods
STEPS = 6
NAMES = [
    (method, name)
    for method in METHODS
    for names in [state_names(solver(DDIMScheduler(), method), stepped=False)]
    for name in (*names.numbers, *names.lists, *names.tensors)
]


def made(method: SamplerMethod) -> Any:
    scheduler = solver(DDIMScheduler(clip_sample=False, timestep_spacing="leading"), method)
    scheduler.set_timesteps(STEPS)
    return scheduler


def output(step: int) -> torch.Tensor:
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(step))


def sampled(scheduler: Any, x: torch.Tensor, steps: range) -> torch.Tensor:
    for step in steps:
        x = scheduler.step(output(step), scheduler.timesteps[step], x).prev_sample
    return x


def made_of_flow(method: SamplerMethod) -> Any:
    schedule = FlowSchedule(FlowMatchEulerDiscreteScheduler(shift=3.0))
    return schedule.solver(Sampler(method=method, steps=STEPS), torch.device("cpu"))


@pytest.mark.parametrize("made", [made, made_of_flow])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("done", range(1, STEPS))
def test_a_restored_solver_goes_on_alike(
    made: Callable[[SamplerMethod], Any], method: SamplerMethod, done: int
) -> None:
    """Also what the names leave out: an attribute that a new diffusers adds would show here."""
    scheduler, start = made(method), output(99)
    x = sampled(scheduler, start, range(done))
    generator = torch.Generator().manual_seed(0)
    state = {name: tensor.clone() for name, tensor in state_of(x, scheduler, generator).items()}
    whole = sampled(scheduler, x, range(done, STEPS))
    other = made(method)
    x = restored(state, other, torch.Generator(), torch.device("cpu"))
    assert torch.equal(sampled(other, x, range(done, STEPS)), whole)


def test_solvers_with_history_have_names() -> None:
    assert {method for method, _ in NAMES} == {"dpmpp", "unipc", "deis"}


def renamed(scheduler: Any, name: str) -> Any:
    """The same solver as a later diffusers might have it: one attribute has another name."""

    class Renamed(type(scheduler)):  # type: ignore[misc]
        def __getattribute__(self, asked: str) -> Any:
            if asked == name:
                raise AttributeError(asked)
            return super().__getattribute__(asked)

    Renamed.__name__ = type(scheduler).__name__
    scheduler.__class__ = Renamed
    return scheduler


@pytest.mark.parametrize(("method", "name"), NAMES)
def test_a_renamed_attribute_is_an_error(method: SamplerMethod, name: str) -> None:
    scheduler = made(method)
    x = sampled(scheduler, output(99), range(2))
    state = state_of(x, scheduler, torch.Generator())
    renamed(scheduler, name)
    with pytest.raises(GrainError, match=f"G529: .*{diffusers.__version__} has no `{name}`"):
        state_of(x, scheduler, torch.Generator())
    if name != "this_order":  # it is made in the first step
        with pytest.raises(GrainError, match=f"G529: .*no `{name}`"):
            restored(state, renamed(made(method), name), torch.Generator(), torch.device("cpu"))


@pytest.mark.parametrize(("method", "name"), NAMES)
def test_it_is_found_before_the_inversion(
    method: SamplerMethod, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "this_order":
        return
    whole = solver
    monkeypatch.setattr(
        "grainspec_runtime.schedules.ddim.solver",
        lambda ddim, method: _NoName(whole(ddim, method), name),
    )
    schedule = DdimSchedule(DDIMScheduler())
    with pytest.raises(GrainError, match=f"G529: .*no `{name}`"):
        schedule.solver(Sampler(method=method, steps=4), torch.device("cpu"))


def _NoName(scheduler: Any, name: str) -> Any:
    scheduler.set_timesteps(2)
    scheduler.set_timesteps = lambda *_, **__: None
    return renamed(scheduler, name)


def test_a_solver_that_is_not_known_is_refused() -> None:
    with pytest.raises(GrainError, match="G529: the state of diffusers' PNDMScheduler"):
        state_names(PNDMScheduler(), stepped=False)


def test_the_version_that_is_proposed_is_the_tested_one() -> None:
    pinned = (Path(__file__).parents[2] / "constraints.txt").read_text().split()
    assert f"diffusers=={TESTED}" in pinned
