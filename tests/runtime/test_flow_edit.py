"""FlowEdit on a model whose velocity is known: against its equations, written out once more."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from analytic import FRAMES, SOURCE, TARGET, AnalyticFlow, Gaussian, analytic_plan, clip_latents
from torch import Tensor

from grainspec import GrainError
from grainspec.model.spec import Context, Sampler
from grainspec.plan.windows import frame_windows, plan_of_frames
from grainspec_runtime.cache.store import entries
from grainspec_runtime.modulation.windowed import clip_attention
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.flow_edit import FlowEdit, amplified
from grainspec_runtime.processes.process import Job, Progress

PLAN = analytic_plan()
X = clip_latents()


class Edit:
    """A run of FlowEdit without a plan, unless one is given."""

    def __init__(self, checkpoint: AnalyticFlow | None = None, **settings: Any) -> None:
        self.checkpoint = checkpoint or AnalyticFlow()
        sampler = {"steps": 8, "skip": 0.25, "guidance": 3.0, "source_guidance": 2.0} | settings
        self.job = Job(
            plan=PLAN,
            source=SOURCE,
            negative="grass",
            sampler=Sampler(**sampler),
            windows=frame_windows(FRAMES, None),
        )
        self.stages: list[str] = []
        self.shown: list[tuple[int, int]] = []
        self.states: dict[int, Any] = {}

    @contextmanager
    def stage(self, name: str, variant: str | None = None) -> Iterator[Progress]:
        self.stages.append(name)
        yield lambda done, total: self.shown.append((done, total))

    def run(self, *, plan: Any = None, begin: Any = None, **job: Any) -> Tensor:
        self.job = replace(self.job, **job)
        process = FlowEdit(Denoiser(self.checkpoint), X, {}, use_cache=True, look_up=True)
        attention = clip_attention(
            self.job.windows,
            lambda window: self.checkpoint.attention(
                len(window.frames),
                PLAN.attention,
                plan=plan and plan_of_frames(plan, window.frames),
            ),
        )
        return process.run(
            self.job,
            lambda: attention,
            stage=self.stage,
            begin=begin,
            keep=lambda done, state: self.states.update({done: state}),
            warn=lambda finding: pytest.fail(str(finding)),
        ).latents


def levels(sampler: Sampler) -> list[float]:
    schedule = AnalyticFlow().schedule
    solver = schedule.solver(sampler, torch.device("cpu"))
    return [float(rates.noise) for rates in schedule.rates(solver, X)]


def by_hand(job: Job, skipped: int, *, mask: float = 1.0) -> Tensor:
    """The paper's algorithm, with its n_max = steps − ``skipped``."""
    sampler, sigmas = job.sampler, levels(job.sampler)
    generator = torch.Generator().manual_seed(sampler.seed)
    none, source, target = map(Gaussian.of, (job.negative, job.source, PLAN.target))

    def guided(at: Tensor, sigma: float, prompt: Gaussian, scale: float) -> Tensor:
        plain = none.velocity(at, sigma)
        return plain + scale * (prompt.velocity(at, sigma) - plain)

    z = X
    for sigma, after in zip(sigmas[skipped:], sigmas[skipped + 1 :], strict=False):
        changes = []
        for _ in range(sampler.average):
            at_source = (1 - sigma) * X + sigma * torch.randn(X.shape, generator=generator)
            at_target = z + at_source - X
            changes.append(
                guided(at_target, sigma, target, sampler.guidance)
                - guided(at_source, sigma, source, sampler.source_guidance)
            )
        z = z + (after - sigma) * mask * torch.stack(changes).mean(0)
    return z


@pytest.mark.parametrize(
    ("settings", "skipped"),
    [
        ({}, 2),
        ({"skip": 0.0}, 0),
        ({"skip": 0.33}, 3),  # 2.64
        ({"skip": 0.01}, 1),
        ({"steps": 50, "skip": 0.33}, 17),  # as Wan-Edit, 16.5
        ({"average": 2}, 2),
        ({"average": 3, "seed": 5}, 2),
        ({"guidance": 1.0, "source_guidance": 1.0}, 2),
        ({"guidance": 0.0, "source_guidance": 4.0}, 2),
    ],
)
def test_it_follows_its_equations(settings: dict[str, Any], skipped: int) -> None:
    edit = Edit(**settings)
    torch.testing.assert_close(edit.run(), by_hand(edit.job, skipped), atol=2e-5, rtol=1e-4)
    assert edit.stages == ["edit"]


def test_the_average_is_that_of_the_changes_of_one_step() -> None:
    """With one step the edit is linear in them; both runs draw one noise each."""
    both = Edit(steps=1, skip=0, average=2).run()
    first = Edit(steps=1, skip=0)
    generator = torch.Generator().manual_seed(0)
    torch.randn(X.shape, generator=generator)
    state = {"latents": X, "generator": generator.get_state()}
    second = Edit(steps=1, skip=0).run(begin=(0, state))
    torch.testing.assert_close(both, (first.run() + second) / 2)
    assert not torch.equal(first.run(), second)


def test_from_pure_noise_the_means_are_exchanged() -> None:
    """For Gaussians of one deviation: (1 − σ) times the difference of the means at every level."""
    edit = Edit(AnalyticFlow(spread=0), skip=0, guidance=1, source_guidance=1)
    moved = Gaussian.of(TARGET, 0).mean - Gaussian.of(SOURCE, 0).mean
    torch.testing.assert_close(edit.run(), X + moved, atol=1e-5, rtol=1e-5)


def test_what_is_skipped_is_missing_from_the_edit() -> None:
    """From σ₀ on, only the part 1 − (1 − σ₀) s / √d₀ of the difference is made up for."""
    edit = Edit(AnalyticFlow(spread=0), steps=400, skip=0.5, guidance=1, source_guidance=1)
    sigma = levels(edit.job.sampler)[200]
    moved = Gaussian.of(TARGET, 0).mean - Gaussian.of(SOURCE, 0).mean
    part = 1 - (1 - sigma) / math.sqrt((1 - sigma) ** 2 + sigma**2)
    torch.testing.assert_close(edit.run(), X + part * moved, atol=5e-3, rtol=0)
    assert 0.2 < part < 0.8


@pytest.mark.parametrize("settings", [{}, {"average": 3}, {"amplify": 1.0}, {"skip": 0.0}])
def test_the_source_prompt_as_target_gives_the_source_bit_for_bit(settings: dict[str, Any]) -> None:
    edit = Edit(guidance=5, source_guidance=5, **settings)
    assert torch.equal(edit.run(source=TARGET), X)
    assert not torch.equal(edit.run(source=TARGET, plan=PLAN), X)
    assert not torch.equal(edit.run(source=SOURCE), X)


def test_what_may_not_change_does_not() -> None:
    mask = torch.zeros(FRAMES, 1, *X.shape[2:])
    mask[..., 4:] = 1
    mask[..., 3] = 0.5
    edit = Edit()
    kept = edit.run(edited_F1hw=mask, plan=PLAN)
    assert torch.equal(kept[..., :3], X[..., :3])
    torch.testing.assert_close(
        edit.run(edited_F1hw=mask)[..., 3], by_hand(edit.job, 2, mask=0.5)[..., 3]
    )


def test_noise_is_of_the_seed() -> None:
    assert torch.equal(Edit(seed=3).run(), Edit(seed=3).run())
    assert not torch.allclose(Edit(seed=3).run(), Edit(seed=4).run())


def test_guidance_of_1_has_no_unconditional_pass() -> None:
    def passes(**settings: Any) -> list[int]:
        edit = Edit(**{"steps": 4, "skip": 0.5, **settings})
        edit.run()
        return [passes for _, passes, _ in edit.checkpoint.calls]

    assert passes() == [2, 2] * 2
    assert passes(source_guidance=1) == [1, 2] * 2
    assert passes(source_guidance=1, guidance=1) == [1, 1] * 2
    assert passes(source_guidance=1, guidance=1, average=2) == [1, 1] * 4


def test_each_expert_has_its_guidance() -> None:
    edit = Edit(AnalyticFlow(second_from=600), guidance=4, low_noise_guidance=1, source_guidance=1)
    edit.run()
    targets = edit.checkpoint.calls[1::2]
    assert {passes for t, passes, _ in targets if t >= 600} == {2}
    assert {passes for t, passes, _ in targets if t < 600} == {1}
    assert {passes for _, passes, _ in edit.checkpoint.calls[::2]} == {1}


def test_a_plan_counts_the_steps_that_are_taken() -> None:
    begun: list[tuple[int, int, float]] = []
    edit = Edit(steps=8, skip=0.5, average=2)
    attention = edit.checkpoint.attention(FRAMES, PLAN.attention, plan=PLAN)
    edit.checkpoint.attention = lambda *args, **settings: attention  # type: ignore[method-assign]
    begin_step = attention.begin_step
    attention.begin_step = lambda *at: (begun.append(at), begin_step(*at))[1]  # type: ignore
    edit.run(plan=PLAN)
    timesteps = [t for t, _, _ in edit.checkpoint.calls[::4]]
    # once for the source, once for the target, whatever the number of noises
    assert begun == [(step, 4, t) for step, t in enumerate(timesteps) for _ in range(2)]


def test_a_clip_in_windows_is_the_clip() -> None:
    windows = frame_windows(FRAMES, Context(frames=2, overlap=1, keys=0))
    assert len(windows) > 1
    edit, whole = Edit(average=2), Edit(average=2)
    torch.testing.assert_close(edit.run(plan=PLAN, windows=windows), whole.run(plan=PLAN))
    for one, per_prediction in ((edit, len(windows)), (whole, 1)):
        done, totals = zip(*one.shown, strict=True)
        assert set(totals) == {6 * 2 * 2 * per_prediction}
        assert sorted(set(done)) == list(range(totals[0] + 1))
        assert list(done) == sorted(done)


def test_an_interrupted_run_shows_where_it_is() -> None:
    edit = Edit()
    whole = edit.run()
    again = Edit()
    assert torch.equal(again.run(begin=(5, edit.states[5])), whole)
    assert again.shown[0] == (3 * 2, 6 * 2)
    assert sorted(again.states) == [6, 7, 8]


def test_nothing_is_kept_for_other_edits() -> None:
    Edit().run()
    assert not list(entries(lambda finding: None))


def test_step_and_layer_of_a_nan_are_named() -> None:
    network = (edit := Edit()).checkpoint.denoiser.moments

    class Spoiling(dict[int, Any]):
        def update(self, new: Any) -> None:  # type: ignore[override]
            if 4 in new:
                network.gain.fill_(math.nan)

    edit.states = Spoiling()
    with pytest.raises(
        GrainError, match="edit step 5 of 8 .*first in the denoiser's layer moments"
    ):
        edit.run()
    assert not network._forward_hooks


def test_the_largest_change_is_amplified_most() -> None:
    change = torch.zeros(21, 2, 1, 3)
    change[:, :, :, 1], change[:, :, :, 2] = -1, 2
    found = amplified(change, 0.5)
    torch.testing.assert_close(found[0, 0, 0], torch.tensor([0, -1 * 1.25, 2 * 1.5]))
    assert torch.equal(amplified(change, 0), change)
    assert torch.equal(amplified(change[:1], 0.5), change[:1])  # log 1 = 0
    assert torch.equal(amplified(0 * change, 0.5), 0 * change)
    few = amplified(change[:5], 1.0)[0, 0, 0, 2] / 2 - 1
    assert float(few) == pytest.approx(math.log(5) / math.log(21))


def test_it_amplifies_the_edit() -> None:
    edit = Edit(steps=2, skip=0.5, amplify=1.0)
    change = Edit(steps=2, skip=0.5).run() - X
    torch.testing.assert_close(edit.run(), X + amplified(change, 1.0))
