"""DMT: the loss on spatial means, its gradient, the optimisation, and the sampling around it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_runs import STEPS, noise, plan_for
from torch import Tensor

from grainspec.model.spec import Method
from grainspec.plan.windows import FrameWindow
from grainspec_runtime.backbones.family import Checkpoint
from grainspec_runtime.backbones.registry import load_checkpoint
from grainspec_runtime.backbones.unets.space_time import SpaceTimeFeatures
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.modulation.windowed import WindowedAttention
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.guided import Step
from grainspec_runtime.processes.methods.dmt import Restart, learning_rates
from grainspec_runtime.processes.methods.low_frequencies import low_frequencies_kept
from grainspec_runtime.processes.methods.motion_guide import MotionGuide
from grainspec_runtime.processes.methods.motion_loss import motion_loss, spatial_means
from grainspec_runtime.schedules.schedule import Rates

FRAMES = 3
FIRST = Step(0, STEPS, torch.tensor(751))


@pytest.fixture(scope="module")
def checkpoint(tiny_animatediff: Path) -> Checkpoint:
    return load_checkpoint(str(tiny_animatediff), Path(), LoadOptions(device="cpu"))


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class TestLoss:
    def test_means_are_those_over_each_region(self) -> None:
        features = drawn(FRAMES, 5, 4, 6)
        regions = torch.zeros(2, FRAMES, 8, 12)
        regions[0, :, :4] = 1
        regions[1, 1, :, 6:] = 1
        means = spatial_means({"layer": features}, regions)["layer"]
        torch.testing.assert_close(means[0], features[:, :, :2].mean((-2, -1)))
        torch.testing.assert_close(means[1, 1], features[1, :, :, 3:].mean((-2, -1)))
        assert means[1, [0, 2]].isnan().all()  # where the region is not
        frame = spatial_means({"layer": features})["layer"]
        torch.testing.assert_close(frame, features.mean((-2, -1))[None])

    def test_it_is_the_mean_over_pairs_of_frames(self) -> None:
        edited, source = (
            {name: drawn(2, FRAMES, 7, seed=seed + more) for more, name in enumerate("ab")}
            for seed in (0, 2)
        )
        source["a"][1, 0] = torch.nan
        edited["a"][1, 0] = torch.nan
        expected = 0.0
        for name in "ab":
            of_regions = []
            for region in range(2):
                cosines = []
                for i in range(FRAMES):
                    for j in range(FRAMES):
                        one, two = (
                            (it[name][region, i] - it[name][region, j]).double().numpy()
                            for it in (edited, source)
                        )
                        if i != j and not np.isnan(two).any():
                            cosines.append(one @ two / np.linalg.norm(one) / np.linalg.norm(two))
                of_regions.append(1 - np.mean(cosines))
            expected += np.mean(of_regions)
        assert float(motion_loss(edited, source)) == pytest.approx(expected, abs=1e-5)

    def test_a_source_that_does_not_change_says_nothing(self) -> None:
        still = {"layer": torch.ones(1, FRAMES, 7)}
        assert float(motion_loss({"layer": drawn(1, FRAMES, 7)}, still)) == 0


Guides = Callable[..., MotionGuide]


@pytest.fixture
def guide(checkpoint: Checkpoint) -> Guides:
    """Makes a guide whose source and target have the same prompt, unless one is told."""
    inputs = checkpoint.condition([checkpoint.encode_prompt("a man")], noise())
    plan = plan_for(checkpoint.folder, frames=FRAMES)

    def make(target: str = "a man", **changes: Any) -> MotionGuide:
        encoded = checkpoint.condition([checkpoint.encode_prompt(target)], noise())
        return MotionGuide(
            **{
                "denoiser": Denoiser(checkpoint),
                "attention": checkpoint.attention(FRAMES, plan.attention),
                "trajectory": torch.stack([noise(FRAMES)] * (STEPS + 1)),
                "source": inputs,
                "target": encoded,
                "rates": [0.02, 0.01],
                "updates": 5,
            }
            | changes
        )

    return make


def gradient(guide: MotionGuide, x: Tensor) -> tuple[Tensor, float]:
    """The gradient and the loss of latents against the source of a guide."""
    with guide.denoiser.checkpoint.installed(guide.attention):
        wanted = [
            guide._means(guide.trajectory[-1], FIRST, guide.source, part) for part in guide._parts()
        ]
        return guide.gradient(x, wanted, FIRST)


def regions() -> Tensor:
    masks = torch.zeros(2, FRAMES, 8, 8)
    masks[0, ..., :4], masks[1, ..., 4:] = 1, 1
    return masks


class TestGuide:
    def test_the_loss_is_0_at_the_source(self, guide: Guides) -> None:
        for changes in ({}, {"regions_RFhw": regions()}):
            assert gradient(guide(**changes), noise(FRAMES))[1] == pytest.approx(0, abs=1e-5)
            assert gradient(guide(**changes), drawn(FRAMES, 4, 8, 8, seed=5))[1] > 0.01

    @pytest.mark.parametrize("regional", [False, True])
    def test_the_gradient_agrees_with_finite_differences(
        self, guide: Guides, *, regional: bool
    ) -> None:
        guide_ = guide("a bear", regions_RFhw=regions() if regional else None)
        x = drawn(FRAMES, 4, 8, 8, seed=5)
        slope, _ = gradient(guide_, x)
        for direction in (slope, drawn(*x.shape, seed=6)):
            along = direction / direction.norm()
            h = 0.02
            up, down = (gradient(guide_, x + sign * h * along)[1] for sign in (1, -1))
            expected = float((slope * along).sum())
            assert (up - down) / (2 * h) == pytest.approx(expected, rel=0.05, abs=2e-4)

    def test_the_loss_falls(self, guide: Guides) -> None:
        losses: list[float] = []
        guide_ = guide("a bear", updates=12, told=lambda step, loss: losses.append(loss))
        x = drawn(FRAMES, 4, 8, 8, seed=5)
        better = guide_.optimised(x, FIRST)
        losses.append(gradient(guide_, better)[1])
        assert losses[-1] < 0.8 * losses[0]
        assert sum(two < one for one, two in pairwise(losses)) >= 10
        assert not better.requires_grad

    def test_later_steps_and_no_updates_change_nothing(self, guide: Guides) -> None:
        x = noise(FRAMES)
        assert guide().optimised(x, Step(2, STEPS, torch.tensor(251))) is x
        assert guide(updates=0).optimised(x, FIRST) is x
        assert not torch.equal(guide().optimised(x + drawn(*x.shape), FIRST), x)

    def test_windows_are_guided_each_by_itself(self, guide: Guides, checkpoint: Checkpoint) -> None:
        plan = plan_for(checkpoint.folder, frames=FRAMES)
        windows = (FrameWindow((0, 1), (1.0, 0.5)), FrameWindow((1, 2), (0.5, 1.0)))
        attention = WindowedAttention(
            windows, lambda window: checkpoint.attention(2, plan.attention)
        )
        x = drawn(FRAMES, 4, 8, 8, seed=5)
        slope, loss = gradient(guide("a bear", attention=attention), x)
        total, losses = torch.zeros_like(x), 0.0
        for first in (0, 1):
            part = guide(
                "a bear",
                attention=checkpoint.attention(2, plan.attention),
                trajectory=torch.stack([noise(FRAMES)[first : first + 2]] * (STEPS + 1)),
            )
            of_part, loss_of_part = gradient(part, x[first : first + 2])
            total[first : first + 2] += of_part
            losses += loss_of_part
        torch.testing.assert_close(slope, total, atol=1e-5, rtol=1e-3)
        assert loss == pytest.approx(losses, rel=1e-4)


class TestFeatures:
    def test_the_network_stops_there_and_is_restored(
        self, guide: Guides, checkpoint: Checkpoint
    ) -> None:
        unet: Any = checkpoint.denoiser
        ran = []
        hook = unet.conv_out.register_forward_hook(lambda *given: ran.append(given))
        before = sum(len(module._forward_hooks) for module in unet.modules())
        guide().optimised(drawn(FRAMES, 4, 8, 8, seed=5), FIRST)
        assert not ran
        assert sum(len(module._forward_hooks) for module in unet.modules()) == before
        assert not unet.is_gradient_checkpointing
        hook.remove()

    def test_recomputing_changes_no_gradient(
        self, guide: Guides, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        x = drawn(FRAMES, 4, 8, 8, seed=5)
        with SpaceTimeFeatures(checkpoint.denoiser).recomputing():
            recomputed = guide("a bear").optimised(x, FIRST)
        monkeypatch.setattr(SpaceTimeFeatures, "recomputing", lambda self: nullcontext())
        torch.testing.assert_close(guide("a bear").optimised(x, FIRST), recomputed)


class TestStart:
    def test_low_frequencies_are_the_inversions(self) -> None:
        inverted = drawn(FRAMES, 4, 16, 16, seed=1)
        other = drawn(FRAMES, 4, 16, 16, seed=2)
        start = low_frequencies_kept(inverted, 4, seed=3)
        assert torch.equal(start, low_frequencies_kept(inverted, 4, seed=3))
        assert not torch.equal(start, low_frequencies_kept(inverted, 4, seed=4))
        difference = start - low_frequencies_kept(other, 4, seed=3)  # of the same noise
        low = torch.nn.functional.avg_pool2d(inverted - other, 4)
        pooled = torch.nn.functional.avg_pool2d(difference, 4)
        both = torch.stack([low.flatten(), pooled.flatten()])
        assert torch.corrcoef(both)[0, 1] > 0.6
        rough = difference - torch.nn.functional.interpolate(pooled, (16, 16), mode="bilinear")
        assert rough.std() < 0.25 * (inverted - other).std()
        assert start.std() == pytest.approx(1, abs=0.15)

    def test_a_factor_of_1_keeps_all(self) -> None:
        assert torch.equal(low_frequencies_kept(noise(), 1, seed=3), noise())


def test_a_restart_has_the_marginal_of_its_noise_level() -> None:
    """From a' x_0 + b' n it goes back to a x_0 + b n, and moves with the denoiser's direction."""
    here, there = (
        Rates(torch.tensor(0.6), torch.tensor(0.8)),
        Rates(torch.tensor(0.8), torch.tensor(0.6)),
    )
    seen: list[Tensor] = []

    class Guided:
        denoiser = SimpleNamespace(
            checkpoint=SimpleNamespace(
                schedule=SimpleNamespace(
                    rates=lambda scheduler, like: [here, there],
                    direction=lambda output, x, rates: output,
                    moved=lambda x, direction, here, there: direction,
                )
            )
        )

        def begin_step(self, step: Step) -> None:
            pass

        def __call__(self, x: Tensor, step: Step, scale: float) -> Tensor:
            seen.append(x)
            return x

    clean = torch.full((1, 1, 200, 200), 2.0)
    x = 0.8 * clean + 0.6 * drawn(1, 1, 200, 200)
    restart = Restart(Guided(), None, lambda t: 5.0, seed=1)  # type: ignore[arg-type]
    assert torch.equal(restart(x, FIRST), restart(x, FIRST))
    noise_there = seen[0] - 0.6 * clean
    assert float(noise_there.mean()) == pytest.approx(0, abs=0.02)
    assert float(noise_there.std()) == pytest.approx(0.8, abs=0.02)


def test_learning_rates_are_the_papers() -> None:
    rates = learning_rates(Method(name="dmt"), 50)
    assert len(rates) == 20
    assert (rates[0], rates[-1]) == (0.007, 0.004)
    assert np.allclose(np.diff(rates), np.diff(rates)[0])
