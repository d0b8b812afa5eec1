"""DFVEdit, compared with its equations on a model whose velocity is known exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from analytic import LAYER, SOURCE, AnalyticFlow, Gaussian, analytic_plan, clip_latents
from tiny_runs import plan_for
from torch import Tensor
from wan import WanVariant

from grainspec.model.spec import Context, Method, Sampler
from grainspec.plan.windows import frame_windows, plan_of_frames
from grainspec_runtime.backbones.emphasis import emphasised
from grainspec_runtime.backbones.registry import load_checkpoint
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.modulation.layers import AttentionLayer
from grainspec_runtime.modulation.windowed import clip_attention
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.methods.dfvedit import DFVEdit
from grainspec_runtime.processes.process import Job, Progress
from grainspec_runtime.processes.word_maps import WordMaps, with_maps

FRAMES = 3
PLAN, X = analytic_plan(), clip_latents()
PLAIN = Method(name="dfvedit", regions="off", reinforce=1, word_mask=0)


class Edit:
    """A run of DFVEdit on a checkpoint, and what it reports."""

    def __init__(self, checkpoint: Any = None, plan: Any = PLAN, x: Tensor = X, **job: Any) -> None:
        self.checkpoint, self.plan, self.x = checkpoint or AnalyticFlow(), plan, x
        self.states: dict[int, Any] = {}
        self.job = replace(
            Job(
                plan=plan,
                source=SOURCE,
                negative="",
                sampler=Sampler(steps=8, guidance=3, source_guidance=2),
                windows=frame_windows(len(x), None),
                method=PLAIN,
            ),
            **job,
        )

    @contextmanager
    def stage(self, name: str, variant: str | None = None) -> Iterator[Progress]:
        yield lambda done, total: None

    def run(self, *, planned: bool = False, begin: Any = None) -> Tensor:
        process = DFVEdit(Denoiser(self.checkpoint), self.x, {}, use_cache=False, look_up=False)
        attention = clip_attention(
            self.job.windows,
            lambda window: self.checkpoint.attention(
                len(window.frames),
                self.plan.attention,
                plan=plan_of_frames(self.plan, window.frames) if planned else None,
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


def by_hand(job: Job, mask: Tensor | float = 1.0) -> Tensor:
    """The equations of the method, on the exact velocities."""
    checkpoint = AnalyticFlow()
    solver = checkpoint.schedule.solver(job.sampler, torch.device("cpu"))
    sigmas = [float(rates.noise) for rates in checkpoint.schedule.rates(solver, X)]
    generator = torch.Generator().manual_seed(job.sampler.seed)
    none, source, target = map(Gaussian.of, (job.negative, job.source, PLAN.target))

    def guided(at: Tensor, sigma: float, prompt: Gaussian, scale: float) -> Tensor:
        plain = none.velocity(at, sigma)
        return plain + scale * (prompt.velocity(at, sigma) - plain)

    z = X
    for sigma, after in pairwise(sigmas[1:]):  # not from pure noise
        noise = torch.randn(X.shape, generator=generator)
        at_source, at_target = ((1 - sigma) * of + sigma * noise for of in (X, z))
        delta = guided(at_target, sigma, target, job.sampler.guidance)
        delta = delta - guided(at_source, sigma, source, job.sampler.source_guidance)
        z = z + (after - sigma) * mask * delta
    return z


@pytest.mark.parametrize(
    "sampler",
    [
        Sampler(steps=8, guidance=3, source_guidance=2),
        Sampler(steps=5, guidance=15, source_guidance=5, seed=3),
        Sampler(steps=8, guidance=1, source_guidance=1),
    ],
)
def test_it_follows_its_equations(sampler: Sampler) -> None:
    edit = Edit(sampler=sampler)
    found = edit.run()
    torch.testing.assert_close(found, by_hand(edit.job), atol=2e-5, rtol=1e-4)
    assert sorted(edit.states) == list(range(2, sampler.steps + 1))
    assert not torch.allclose(found, X, atol=0.1)


def test_the_source_prompt_as_target_changes_no_bit() -> None:
    edit = Edit(source=PLAN.target, sampler=Sampler(steps=6, guidance=4, source_guidance=4))
    for method in (PLAIN, PLAIN.replaced({}, word_mask=0.4)):
        edit.job = replace(edit.job, method=method)
        assert torch.equal(edit.run(), X)


def test_the_edited_regions_are_its_mask() -> None:
    mask = torch.zeros(FRAMES, 1, 8, 8)
    mask[..., 3:] = 1
    edit = Edit(edited_F1hw=mask, method=PLAIN.replaced({}, regions="both"))
    found = edit.run()
    torch.testing.assert_close(found, by_hand(edit.job, mask), atol=2e-5, rtol=1e-4)
    assert torch.equal(found[..., :3], X[..., :3])


def test_reinforcement_acts_on_the_words_of_edits() -> None:
    words = torch.randn(1, PLAN.words_ET.shape[1], 4)
    twice, edited = emphasised(words, PLAN, 2.0), torch.from_numpy(PLAN.words_ET.any(axis=0))
    assert torch.equal(twice[:, edited], 2 * words[:, edited])
    assert torch.equal(twice[:, ~edited], words[:, ~edited])
    assert emphasised(words, PLAN, 1.0) is words
    assert not torch.allclose(Edit(method=PLAIN.replaced({}, reinforce=2)).run(), Edit().run())


def test_one_step_is_left_of_one() -> None:
    assert Edit(sampler=Sampler(steps=1)).run().isfinite().all()


# --- masks of attention ---------------------------------------------------------------------------


def test_a_map_is_the_share_of_the_words() -> None:
    """Scaled to its range; a latent token of the plan is one of the latents here."""
    maps = WordMaps(PLAN, torch.device("cpu"))
    attention = with_maps(AnalyticFlow().attention(FRAMES, PLAN.attention), maps, X.device)
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2 * FRAMES, 2, 64, 4, generator=generator)
    key, value = (
        torch.randn(2 * FRAMES, 2, PLAN.words_ET.shape[1], 4, generator=generator) for _ in "kv"
    )
    assert attention.reaches(LAYER)
    assert not attention.is_plain(LAYER)
    out = attention.cross_attention(LAYER, query, key, value)
    scores = (query @ key.mT / 2).softmax(-1)
    torch.testing.assert_close(out, scores @ value)
    words = torch.from_numpy(PLAN.words_ET.any(axis=0))
    share = scores[FRAMES:, ..., words].sum(-1).mean(1)  # of the conditional pass
    expected = (share - share.min()) / (share.max() - share.min())
    torch.testing.assert_close(maps.take()[:, 0].flatten(1), expected)
    assert maps.take().eq(1).all()  # nothing was seen since
    other = AttentionLayer(name="self", level=0, kind="self")
    assert attention.is_plain(other) == AnalyticFlow().attention(3, PLAN.attention).is_plain(other)


def test_only_what_attends_to_the_words_changes(wan_folder: Callable[[WanVariant], Path]) -> None:
    folder = wan_folder("2.1")
    checkpoint = load_checkpoint(str(folder), Path(), LoadOptions(device="cpu"))
    plan = plan_for(folder, "until 100% decay 1 frames full", frames=9)
    frames = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    x = checkpoint.encode_clip(frames)

    def edited(**settings: Any) -> Edit:
        method = PLAIN.replaced({}, **settings)
        sampler = Sampler(steps=2, guidance=4, source_guidance=2)  # one of them is taken
        return Edit(checkpoint, plan, x, method=method, sampler=sampler)

    whole, part = edited().run(), edited(word_mask=0.5).run()
    changed = (part != x).any(1)
    assert 0 < changed.float().mean() < 1
    assert torch.equal(part[changed[:, None].expand_as(x)], whole[changed[:, None].expand_as(x)])
    by_token = changed.unflatten(1, (-1, plan.patch)).unflatten(3, (-1, plan.patch))
    assert torch.equal(by_token.amax((2, 4)), by_token.float().amin((2, 4)).bool())
    assert torch.equal(
        edited(word_mask=1e-9).run()[changed[:, None].expand_as(x)],
        whole[changed[:, None].expand_as(x)],
    )
    assert torch.equal(edited(word_mask=0.5, regions="both").run(), whole)


def test_masks_of_windows_and_resumed_runs(wan_folder: Callable[[WanVariant], Path]) -> None:
    folder = wan_folder("2.1")
    checkpoint = load_checkpoint(str(folder), Path(), LoadOptions(device="cpu"))
    plan = plan_for(folder, "until 100% decay 1 frames full", frames=13)
    frames = np.random.default_rng(0).integers(0, 256, (13, 64, 64, 3), dtype=np.uint8)
    x = checkpoint.encode_clip(frames)
    windows = frame_windows(len(x), Context(frames=3, overlap=1, keys=1))
    assert len(windows) > 1
    method = PLAIN.replaced({}, word_mask=0.5, regions="attention", reinforce=2)
    job = {"windows": windows, "method": method, "sampler": Sampler(steps=4)}
    edit = Edit(checkpoint, plan, x, **job)
    whole = edit.run(planned=True)
    for done, state in edit.states.items():
        again = Edit(checkpoint, plan, x, **job)
        assert torch.equal(again.run(planned=True, begin=(done, state)), whole), done
