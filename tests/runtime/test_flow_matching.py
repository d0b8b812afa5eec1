"""Schedules of flow matching: levels, solvers, and the road to noise and back."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

import diffusers
import pytest
import torch
from analytic import FRAMES, SOURCE, TARGET, AnalyticFlow, Gaussian, clip_latents
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

from grainspec import GrainError
from grainspec.model.spec import Sampler, SamplerMethod
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.invert import invert
from grainspec_runtime.processes.sample import sample
from grainspec_runtime.schedules.flow_matching import FlowSchedule
from grainspec_runtime.schedules.flow_sigmas import flow_sigmas, flow_timesteps
from grainspec_runtime.schedules.noise_levels import flow_timestep

CPU = torch.device("cpu")
METHODS: tuple[SamplerMethod, ...] = get_args(SamplerMethod)
X = clip_latents()


def unipc(shift: float = 3.0) -> UniPCMultistepScheduler:
    return UniPCMultistepScheduler(
        use_flow_sigmas=True, flow_shift=shift, prediction_type="flow_prediction"
    )


OWN = [FlowMatchEulerDiscreteScheduler(shift=3.0), unipc(), unipc(5.0)]


@pytest.fixture(params=OWN, ids=lambda own: f"{type(own).__name__}-{own.config.get('flow_shift')}")
def schedule(request: pytest.FixtureRequest) -> FlowSchedule:
    return FlowSchedule(request.param)


def solver(schedule: FlowSchedule, method: SamplerMethod, steps: int) -> Any:
    return schedule.solver(Sampler(method=method, steps=steps), CPU)


@pytest.mark.parametrize("steps", [1, 4, 25, 1000])
@pytest.mark.parametrize("method", METHODS)
def test_levels_are_those_known_before_torch_is_loaded(
    schedule: FlowSchedule, method: SamplerMethod, steps: int
) -> None:
    own = {"_class_name": type(schedule.scheduler).__name__, **schedule.scheduler.config}
    made = solver(schedule, method, steps)
    assert made.timesteps.tolist() == flow_timesteps(own, steps, method)
    *rates, end = schedule.rates(made, X)
    assert (float(end.signal), float(end.noise)) == (1, 0)
    for (signal, noise), sigma in zip(rates, flow_sigmas(own, steps, method), strict=True):
        assert float(noise) == pytest.approx(sigma, abs=1e-7)
        assert float(signal + noise) == 1
    assert all(more.noise > less.noise for more, less in pairwise([*rates, end]))
    assert schedule.methods == METHODS


def test_the_checkpoints_own_solver_is_diffusers(schedule: FlowSchedule) -> None:
    own = type(schedule.scheduler).from_config(schedule.scheduler.config)
    own.set_timesteps(10)
    made = solver(schedule, "ddim", 10)
    assert torch.equal(made.sigmas, own.sigmas)
    assert torch.equal(made.timesteps.float(), own.timesteps.float())
    if isinstance(own, UniPCMultistepScheduler):
        assert torch.equal(solver(schedule, "unipc", 10).sigmas, own.sigmas)


def test_a_step_of_euler_is_a_move(schedule: FlowSchedule) -> None:
    made = solver(schedule, "ddim", 6)
    rates = schedule.rates(made, X)
    x = torch.randn(X.shape, generator=torch.Generator().manual_seed(1))
    for t, (here, there) in zip(made.timesteps, pairwise(rates), strict=True):
        output = x.sin()
        stepped = made.step(output, t, x).prev_sample
        torch.testing.assert_close(schedule.moved(x, output, here, there), stepped)
        x = stepped


def test_between_clip_and_pure_noise_nothing_is_divided(schedule: FlowSchedule) -> None:
    """At σ = 1 the signal's rate is 0: noise N is X + 1 · (N − X)."""
    noise = torch.randn(X.shape, generator=torch.Generator().manual_seed(1))
    clean = schedule.rates(solver(schedule, "ddim", 1), X)[-1]
    pure = type(clean)(1 - torch.ones(()), torch.ones(()))
    torch.testing.assert_close(schedule.moved(X, noise - X, clean, pure), noise)
    torch.testing.assert_close(schedule.moved(noise, noise - X, pure, clean), X)


def test_rounded_timesteps_that_are_equal_are_all_taken() -> None:
    """With a shift of 20, fifty of a thousand levels round to the same timestep."""
    schedule = FlowSchedule(unipc(20.0))
    for method in METHODS:
        made = solver(schedule, method, 300)
        assert len(set(made.timesteps.tolist())) < 300
        x = X
        for t in made.timesteps:
            x = made.step(x * 0, t, x).prev_sample
        assert made.step_index == 300


@pytest.mark.parametrize("method", METHODS)
def test_solvers_end_at_the_clean_clip(schedule: FlowSchedule, method: SamplerMethod) -> None:
    """The exact flow of a Gaussian: errors fall with the steps, and no noise is left at the end."""
    prompt = Gaussian.of(TARGET)
    errors = []
    for steps in (12, 48):
        made = solver(schedule, method, steps)
        sigmas = [float(rates.noise) for rates in schedule.rates(made, X)]
        x = start = prompt.flowed(X, 0.0, sigmas[0])
        for t, sigma in zip(made.timesteps, sigmas[:-1], strict=True):
            x = made.step(prompt.velocity(x, sigma), t, x).prev_sample
        errors.append(float((x - X).norm() / (start - X).norm()))
    assert errors[1] < min(errors[0] / 2, 0.15 if method == "ddim" else 0.04)


@pytest.mark.parametrize("method", METHODS)
def test_the_inversion_leads_to_noise_and_back(method: SamplerMethod) -> None:
    checkpoint, errors = AnalyticFlow(unipc()), []
    attention, prompt = FoldedAttention(FRAMES), [checkpoint.encode_prompt(SOURCE)]
    exact = Gaussian.of(SOURCE)
    for steps in (10, 40):
        made = solver(checkpoint.schedule, method, steps)
        there = invert(Denoiser(checkpoint), X, attention, prompt=SOURCE, scheduler=made)
        assert torch.equal(there[0], X)
        noise = exact.flowed(X, 0.0, float(checkpoint.schedule.rates(made, X)[0].noise))
        back = sample(Denoiser(checkpoint), there, attention, prompt, scheduler=made, guidance=1)
        errors.append(
            [
                float((there[-1] - noise).norm() / noise.norm()),
                float((back - X).norm() / X.norm()),
            ]
        )
    (noise_10, back_10), (noise_40, back_40) = errors
    assert noise_40 < noise_10 / 2
    assert back_40 < (0.01 if method == "ddim" else 0.06)  # the inversion is of first order
    assert back_40 < back_10


def test_keys_tell_levels_apart() -> None:
    """Euler and UniPC share levels, others do not; nor do shifts."""
    facts = {
        (method, shift): str(
            FlowSchedule(unipc(shift)).facts(solver(FlowSchedule(unipc(shift)), method, 5))
        )
        for method in METHODS
        for shift in (3.0, 5.0)
    }
    assert len(set(facts.values())) >= 6


def test_a_plan_of_flow_matching_needs_a_scheduler_of_it() -> None:
    assert flow_timestep(unipc(), 250.0, 1000) == 250
    assert (
        flow_timestep(FlowMatchEulerDiscreteScheduler(num_train_timesteps=500), 250.0, 1000) == 500
    )
    with pytest.raises(GrainError, match="G412: the timesteps of DDIMScheduler"):
        flow_timestep(diffusers.DDIMScheduler(), 250.0, 1000)
