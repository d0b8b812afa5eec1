"""TokenFlow: key frames, nearest tokens, their propagation, and what an edit by it promises."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import EXAMPLES
from method_runs import MethodRun
from tiny_models import save_animatediff
from tiny_runs import STEPS, loaded, noise, plan_for
from torch import Tensor

from grainspec import EditSpec, GrainError, check, parse
from grainspec.model.spec import FrameScope, Inject, Sampler
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.windows import plan_of_frames
from grainspec_runtime import Editor
from grainspec_runtime.backbones.family import Checkpoint
from grainspec_runtime.known import known
from grainspec_runtime.passes import denoiser_passes
from grainspec_runtime.prepare import prepare
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.methods import token_field
from grainspec_runtime.processes.methods.token_field import (
    Falloff,
    Neighbours,
    draw_key_frames,
    field_between,
    nearest_tokens,
    neighbours_of,
    normalized,
    propagated,
)
from grainspec_runtime.processes.methods.tokenflow_passes import TokenFlowPredictor

FRAMES = 5
NOTHING = Inject(features=0, self=0)
STRONG = "until 100% decay 0 cross 1 self 0.5 phrases in_context"
"""A plan that changes what a tiny random network predicts."""


# --- fields ---------------------------------------------------------------------------------------


def test_one_key_frame_is_drawn_from_each_interval_and_anew_at_every_step() -> None:
    draws = [draw_key_frames(11, 4, seed=3, step=step) for step in range(60)]
    for places in zip(*draws, (0, 4, 8), strict=False):
        assert set(places) == set(range(min(places), max(places) + 1))
    assert [sorted({draw[segment] for draw in draws}) for segment in range(3)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10],
    ]
    assert draws[7] == draw_key_frames(11, 4, seed=3, step=7)
    assert draws != [draw_key_frames(11, 4, seed=4, step=step) for step in range(60)]


def test_the_nearest_token_is_that_of_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    tokens, others = (
        torch.randn(30, 6, generator=generator),
        torch.randn(40, 6, generator=generator),
    )
    others[7] *= 100  # cosine similarity does not see the length

    def cosine(a: Tensor, b: Tensor) -> float:
        return float(a @ b / (a.norm() * b.norm()))

    wanted = [max(range(40), key=lambda m: cosine(token, others[m])) for token in tokens]
    assert nearest_tokens(normalized(tokens), normalized(others)).tolist() == wanted
    monkeypatch.setattr(token_field, "_SIMILARITIES", 7 * 40)  # in parts
    assert nearest_tokens(normalized(tokens), normalized(others)).tolist() == wanted
    assert Counter(wanted)[7] < 30


def test_a_frame_between_key_frames_has_both_and_the_later_weighs_by_the_distance() -> None:
    keys = [2, 6, 7]
    assert neighbours_of(3, keys) == Neighbours(0, 1, 1 / (1 + math.exp(-1 / 4)))
    assert neighbours_of(5, keys) == Neighbours(0, 1, 1 / (1 + math.exp(-3 / 4)))
    assert neighbours_of(5, keys, "linear") == Neighbours(0, 1, 3 / 4)
    assert [neighbours_of(frame, keys)[:2] for frame in (0, 2, 6, 7, 9)] == [
        (0, 0),
        (0, 0),
        (1, 1),
        (2, 2),
        (2, 2),
    ]


def test_tokens_move_along_the_field() -> None:
    generator = torch.Generator().manual_seed(0)
    frames, keys, passes, tokens = 3, 2, 2, 6
    source = torch.randn(frames, tokens, 4, generator=generator)
    key_source = torch.randn(keys, tokens, 4, generator=generator)
    edited = torch.randn(passes, keys, 3, tokens, 5, generator=generator)
    around = [Neighbours(0, 0, 1.0), Neighbours(0, 1, 0.25), Neighbours(1, 1, 1.0)]
    field = field_between(source, key_source, around)
    out = propagated(edited, field)
    assert out.shape == (passes, frames, 3, tokens, 5)
    similar = torch.einsum("fnc,kmc->fknm", normalized(source), normalized(key_source))
    nearest = similar.argmax(-1)
    for p, frame, token in itertools.product(range(passes), range(frames), range(tokens)):
        before, after, weight = around[frame]
        there = edited[p, after, :, nearest[frame, after, token]]
        here = edited[p, before, :, nearest[frame, before, token]]
        wanted = weight * there + (1 - weight) * here
        torch.testing.assert_close(out[p, frame, :, token], wanted)


# --- edits ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(two_levels: Path) -> tuple[Checkpoint, MaskPlan]:
    return loaded(two_levels), plan_for(two_levels, "until 100% decay 1", frames=FRAMES)


Edited = Callable[..., tuple[MethodRun, Tensor]]
STILL = noise(1).repeat(FRAMES, 1, 1, 1)


@pytest.fixture(scope="module")
def edited(model: tuple[Checkpoint, MaskPlan]) -> Edited:
    """Edits noise, or other latents; the same edit is made once."""
    made: dict[str, tuple[MethodRun, Tensor]] = {}

    def edited(latents: Tensor | None = None, **settings: Any) -> tuple[MethodRun, Tensor]:
        latents = noise(FRAMES) if latents is None else latents
        key = repr((latents.sum(), sorted(settings.items())))
        if key not in made:
            settings = {"regions": "off", "interval": 2, **settings}
            run = MethodRun("tokenflow", *model, latents, **settings)
            made[key] = run, run.latents_of()
        return made[key]

    return edited


@pytest.mark.parametrize("regions", ["off", "attention"])
def test_equal_frames_get_equal_edits(edited: Edited, regions: str) -> None:
    """So the plan modulates the words of the frames between key frames, too."""
    _, latents = edited(STILL, regions=regions)
    torch.testing.assert_close(latents, latents[:1].expand_as(latents), atol=1e-3, rtol=1e-3)
    _, moving = edited(regions=regions)
    assert not torch.allclose(moving, moving[:1].expand_as(moving), atol=0.1)


@pytest.mark.parametrize(
    ("planned", "at_once", "falloff"),
    [(False, None, "sigmoid"), (False, 2, "linear"), (True, 2, "sigmoid")],
)
def test_a_prediction_is_the_papers_equations(
    two_levels: Path, planned: bool, at_once: int | None, falloff: Falloff
) -> None:
    """Of frames before, between and after the key frames, in batches or at once."""
    frames, t = 8, torch.tensor(600)
    checkpoint, plan = loaded(two_levels), plan_for(two_levels, STRONG, frames=frames)
    run = MethodRun(
        "tokenflow",
        checkpoint,
        plan,
        noise(frames),
        sampler=Sampler(steps=1, seed=2),
        at_once=at_once,
        regions="attention" if planned else "off",
        interval=3,
        falloff=falloff,
    )
    keys = draw_key_frames(frames, 3, seed=2, step=0)
    assert keys == [2, 3, 6]
    source, edit = noise(frames), noise(2 * frames)[frames:]
    prompts = [checkpoint.encode_prompt(text) for text in ("", plan.target, run.job.source)]
    features = checkpoint.source_features(NOTHING)
    with torch.no_grad(), features.installed():
        predictor = TokenFlowPredictor(
            predict=Denoiser(checkpoint).predict,
            checkpoint=checkpoint,
            job=run.job,
            method=run.job.method,
            inject=NOTHING,
            features=features,
            trajectory=source[None],
            source_conditioning=checkpoint.condition(prompts[2:], source),
        )
        both = checkpoint.condition(prompts[:2], source)
        out = predictor(torch.cat([edit, edit]), t, both, range(frames), step=0, steps=1)
        wanted = ByHand(checkpoint, plan, planned, keys, t)(source, edit, prompts, falloff)
    torch.testing.assert_close(out.unflatten(0, (2, -1)), wanted, atol=2e-4, rtol=2e-4)


class ByHand:
    """A prediction of TokenFlow, one frame and one token after the other (sections 4.1 and 4.2).

    Attention of the key frames, and to words, is that of the plan, which has tests of its own.
    """

    def __init__(
        self, checkpoint: Any, plan: MaskPlan, planned: bool, keys: list[int], t: Tensor
    ) -> None:
        self.unet, self.checkpoint, self.t, self.keys = checkpoint.unet, checkpoint, t, keys
        self.plan, self.planned = plan, planned
        modules = self.unet.named_modules()
        self.layers = {name: module for name, module in modules if name.endswith("attn1")}

    def __call__(
        self, source: Tensor, edit: Tensor, prompts: list[Any], falloff: Falloff
    ) -> Tensor:
        """Return the output of both passes, ``[2, F, c, h, w]``."""
        negative, target, of_source = (prompt.words for prompt in prompts)
        frames = [self.watched(source[i : i + 1], of_source)[1] for i in range(len(source))]
        out = torch.empty(2, *edit.shape)
        texts = torch.cat([negative, target]).repeat_interleave(len(self.keys), 0)
        with self.installed(self.keys, "full"):
            of_keys, seen = self.watched(torch.cat([edit[self.keys]] * 2), texts)
        out[:, self.keys] = of_keys.unflatten(0, (2, -1))
        for frame in set(range(len(edit))) - set(self.keys):
            tokens = {
                name: torch.stack(
                    [self.moved(seen[name][p], frames, name, frame, falloff) for p in (0, 1)]
                )
                for name in self.layers
            }
            with self.installed([frame], "each"), self.giving(tokens):
                x = edit[frame : frame + 1].repeat(2, 1, 1, 1)
                out[:, frame] = self.unet(x, self.t, torch.cat([negative, target])).sample
        return out

    def moved(
        self, seen_KNC: Tensor, frames: list[Any], name: str, frame: int, falloff: Falloff
    ) -> Tensor:
        """Equation 4 for a frame, whose nearest tokens are those of equation 3."""
        before = [place for place, key in enumerate(self.keys) if key < frame]
        after = [place for place, key in enumerate(self.keys) if key > frame]
        pair = (before[-1] if before else after[0], after[0] if after else before[-1])
        near, far = (abs(self.keys[place] - frame) for place in pair)
        share = near / (near + far)
        weight = share if falloff == "linear" else 1 / (1 + math.exp(-share))
        mixed = []
        for token in frames[frame][name][0]:
            found = []
            for place in pair:
                others = frames[self.keys[place]][name][0]
                cosine = others @ token / others.norm(dim=-1)
                found.append(seen_KNC[place, int(cosine.argmax())])
            mixed.append((1 - weight) * found[0] + weight * found[1])
        return torch.stack(mixed)

    def watched(self, x: Tensor, text: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The UNet's output, and that of its self-attention: ``[K, N, C]``, or of two passes."""
        seen: dict[str, Tensor] = {}
        hooks = [
            module.register_forward_hook(lambda *of, name=name: seen.__setitem__(name, of[2]))
            for name, module in self.layers.items()
        ]
        out = self.unet(x, self.t, text).sample
        for hook in hooks:
            hook.remove()
        if len(x) > 1:
            seen = {name: tokens.unflatten(0, (2, -1)) for name, tokens in seen.items()}
        return out, seen

    @contextmanager
    def giving(self, tokens: dict[str, Tensor]) -> Iterator[None]:
        """Self-attention that returns these tokens, ``[P, N, C]``, whatever it receives."""
        for name, module in self.layers.items():
            module.forward = lambda *_, name=name, **__: tokens[name]
        yield
        for module in self.layers.values():
            del module.forward

    def installed(self, frames: list[int], scope: FrameScope) -> Any:
        plan = plan_of_frames(self.plan, frames, scope) if self.planned else None
        settings = self.plan.attention.replaced({}, frames=scope, norm="each")
        if plan is not None:
            settings = plan.attention.replaced({}, frames=scope, norm="each")
        attention = self.checkpoint.attention(len(frames), settings, plan=plan)
        attention.begin_step(0, 1, float(self.t))
        return self.checkpoint.installed(attention)


def test_a_still_clip_with_the_source_prompt_is_its_reconstruction(
    model: Any, edited: Edited
) -> None:
    """Its frames attend to copies of themselves, and take their own tokens from another frame."""
    plain = {"source": model[1].target, "sampler": Sampler(steps=STEPS, guidance=1)}
    run, latents = edited(STILL, inject=NOTHING, **plain)
    back = run.process.reconstruct(run.job, stage=run.stage, warn=run.warn)
    torch.testing.assert_close(latents, back, atol=1e-4, rtol=1e-4)
    _, other = edited(STILL, inject=NOTHING, **{**plain, "source": "a bear"})
    assert not torch.allclose(other, back, atol=1e-2)


def test_the_source_is_injected_with_the_shares_of_plug_and_play(edited: Edited) -> None:
    _, default = edited()
    assert torch.equal(default, edited(inject=Inject())[1])
    assert not torch.allclose(default, edited(inject=NOTHING)[1], atol=1e-2)


def test_the_clip_is_inverted_frame_by_frame(edited: Edited) -> None:
    """So another frame changes nothing, whatever frames the spec's attention covers."""
    run, _ = edited()
    other = torch.cat([noise(FRAMES)[:4], noise(1) + 1])
    again, _ = edited(other, at_once=2)
    first, second = (one.process.inversions._last[1][:, :4] for one in (run, again))
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5)


def test_a_step_depends_on_its_number_not_on_the_run(edited: Edited) -> None:
    """A resumed run draws the same key frames: the contract test resumes; this one counts."""
    run, _ = edited()
    assert sorted(run.states) == list(range(1, STEPS + 1))
    third = run.latents_of(begin=(2, run.states[2]))
    assert torch.equal(third, run.states[STEPS]["latents"])
    seeded = replace(run.job, sampler=Sampler(steps=STEPS, seed=1))
    assert not torch.allclose(run.latents_of(seeded), third, atol=1e-3)


# --- specs ----------------------------------------------------------------------------------------

SPEC = """grain 1
video "clips/two_men.mp4" {{ frames 0..4 size 64x64 }}
model "{model}"
source "a red man and a blue man on grass"
target "a green robot and a blue man on grass"
region left = masks("masks/two_men/left")
edit instance left -> "green robot"
sampler {{ steps 3 }}
method tokenflow {{ interval 2 }}
{more}
"""


def spec_of(model: Path, more: str = "") -> EditSpec:
    return parse(SPEC.format(model=model, more=more))


def test_an_edit_takes_the_passes_that_are_announced(two_levels: Path) -> None:
    editor = Editor(str(two_levels), device="cpu", use_cache=False)
    calls: list[int] = []
    hook = editor.checkpoint(EXAMPLES).denoiser.register_forward_hook(lambda *_: calls.append(1))
    prepared = prepare(spec_of(two_levels, "context { frames 3 overlap 0 keys 0 }"), EXAMPLES)
    result = editor.run_prepared(prepared)
    hook.remove()
    assert result.prepared.process == "tokenflow"
    outside = result.prepared.bound.edits.bits_FHW == 0
    assert not np.array_equal(result.edited[~outside], result.source[~outside])
    inversion, sampling = 4 * 2, 3 * 2  # two batches; the key frames, then the others
    assert denoiser_passes(prepared) == inversion + 3 * sampling
    assert len(calls) == inversion + 2 * sampling  # guidance has both passes in one call


def test_what_it_does_not_take_is_said() -> None:
    text = SPEC.format(model="m", more="attention { frames each norm clip }")
    assert [(finding.code, finding.message) for finding in check(parse(text))] == [
        ("G111", f"`{name}` of `attention` has no effect with `method tokenflow`")
        for name in ("frames", "norm")
    ]
    assert check(parse(SPEC.format(model="m", more="inject { self 30% } context"))) == []
    with pytest.raises(GrainError, match=r"`flow` is not supported by `method tokenflow`"):
        parse(SPEC.format(model="m", more="flow"))


def test_models_of_other_kinds_are_refused(wan_folders: dict[Any, Path], tmp_path: Path) -> None:
    for model in (wan_folders["2.1"], save_animatediff(tmp_path / "model")):
        spec = spec_of(model)
        with pytest.raises(GrainError, match=r"G504: `method tokenflow` is not supported by") as e:
            known(spec, Path()).check(spec, Path())
        assert "Stable Diffusion 1.x, 2.x or XL" in str(e.value)
