"""Ground-A-Video: noise shared by what is still, boxes of regions, null embeddings, grounding."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from clips import EXAMPLES
from diffusers import UNet2DConditionModel
from tiny_models import save_gligen
from tiny_runs import FRAMES, STEPS, loaded, noise, plan_for
from torch import Tensor

from grainspec import parse
from grainspec.model.spec import Method, Sampler
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.windows import FrameWindow, frame_windows
from grainspec_runtime.backbones.families.sd_unet.checkpoint import StableDiffusion
from grainspec_runtime.backbones.unets.gated import gated_layers, gated_objects
from grainspec_runtime.editing.editor import Editor
from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.modulation.layers import Attention, AttentionLayer
from grainspec_runtime.passes import denoiser_passes
from grainspec_runtime.prepare import Prepared
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.methods import ground_a_video
from grainspec_runtime.processes.methods.boxed_words import BoxedWords
from grainspec_runtime.processes.methods.boxes import Boxes, boxes_of
from grainspec_runtime.processes.methods.ground_a_video import GroundAVideo
from grainspec_runtime.processes.methods.grounding import GroundedPredictor
from grainspec_runtime.processes.methods.null_text import TEXT, NullText
from grainspec_runtime.processes.methods.shared_noise import magnitudes, shared_noise
from grainspec_runtime.processes.process import Job
from grainspec_runtime.processes.registry import MakeProcess

STRONG = 200.0
"""A scale of guidance at which the words of a tiny random network count."""
CPU = torch.device("cpu")


def flow(lengths_PHW: np.ndarray) -> ClipFlow:
    """A flow of these lengths, each to the right."""
    forward = np.stack([lengths_PHW, 0 * lengths_PHW], -1).astype(np.float32)
    return ClipFlow(forward, -forward)


class TestSharedNoise:
    def test_it_is_the_papers_recursion(self) -> None:
        random = np.random.default_rng(0)
        lengths = random.random((3, 4, 6)) * [[[1]], [[5]], [[0.2]]]
        own = noise(4, 64)[..., :4, :6]
        result = shared_noise(own, magnitudes(flow(lengths), (4, 6)), 0.4)
        for y in range(4):
            for x in range(6):
                last = own[0, :, y, x]
                for n in range(1, 4):
                    if lengths[n - 1, y, x] / lengths[n - 1].max() >= 0.4:
                        last = own[n, :, y, x]
                    assert torch.equal(result[n, :, y, x], last)

    def test_nothing_changes_where_everything_moves(self) -> None:
        own = noise(4)
        moved = magnitudes(flow(np.full((3, 16, 16), 5.0)), (8, 8))
        assert torch.equal(shared_noise(own, moved, 0.2), own)
        still = magnitudes(flow(np.zeros((3, 16, 16))), (8, 8))
        assert torch.equal(shared_noise(own, still, 0.0), own)

    def test_all_frames_have_the_first_ones_noise_where_nothing_moves(self) -> None:
        own = noise(4)
        still = magnitudes(flow(np.zeros((3, 16, 16))), (8, 8))
        assert torch.equal(shared_noise(own, still, 0.2), own[:1].expand_as(own))

    def test_a_frame_alone_keeps_its_noise(self) -> None:
        alone = magnitudes(flow(np.zeros((0, 16, 16))), (8, 8))
        assert torch.equal(shared_noise(noise(1), alone, 0.2), noise(1))


class TestBoxes:
    def test_they_are_tight(self, tiny_sd: Path) -> None:
        plan = painted(plan_for(tiny_sd))
        boxes, labels = boxes_of(plan), plan.levels[0].labels_FHW
        for frame in range(FRAMES):
            for edit in range(len(plan.edits)):
                inside = plan.members_CE[labels[frame], edit]
                rows, columns = np.nonzero(inside)
                assert boxes.present_FE[frame, edit] == bool(len(rows))
                if len(rows):
                    corners = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                    assert np.array_equal(boxes.corners_FE4[frame, edit] * 8, corners)
                else:
                    assert not boxes.corners_FE4[frame, edit].any()

    def test_cells_are_those_that_a_box_touches(self) -> None:
        corners = np.array([[[1 / 3, 0, 2 / 3, 0.5], [0, 0, 0, 0]]], np.float32)
        boxes = Boxes(corners, np.array([[True, False]]))
        fine = boxes.cells(4, 3)
        assert np.argwhere(fine[0, ..., 0]).tolist() == [[0, 1], [1, 1]]
        assert not fine[..., 1].any()
        coarse = boxes.cells(1, 2)  # a box of less than a cell touches it
        assert coarse[0, ..., 0].tolist() == [[True, True]]


def painted(plan: MaskPlan) -> MaskPlan:
    """The plan with regions of odd shapes, one of them absent on the last frame."""
    labels = plan.levels[0].labels_FHW
    labels[:] = 0
    labels[0, 2, 3], labels[0, 4, 1], labels[1, 0, 7] = 1, 1, 1
    labels[0, 5:, 6:] = 2
    return plan


class TestBoxedWords:
    def test_words_of_an_edit_are_attended_in_its_box_only(self, tiny_sd: Path) -> None:
        plan = plan_for(tiny_sd)
        checkpoint = loaded(tiny_sd)
        boxes = boxes_of(plan)
        base = checkpoint.attention(FRAMES, plan.attention)
        attention = BoxedWords(base, plan, boxes)
        layer = AttentionLayer("layer", 0, "cross")
        query, key, value = (torch.randn(2 * FRAMES, 2, n, 4) for n in (64, 48, 48))
        key, value = key[..., : plan.words_ET.shape[1], :], value[..., : plan.words_ET.shape[1], :]
        out = attention.cross_attention(layer, query, key, value)
        plain = base.cross_attention(layer, query, key, value)
        assert torch.equal(out[:FRAMES], plain[:FRAMES])  # the unconditional pass
        for frame, row, column in ((0, 0, 0), (1, 7, 7), (1, 3, 4)):
            place, token = FRAMES + frame, row * 8 + column
            scores = key[place] @ query[place, :, token, :, None] / 2
            for word in range(key.shape[2]):
                edits = np.nonzero(plan.words_ET[:, word])[0]
                inside = [
                    boxes.corners_FE4[frame, e, 0] * 8
                    <= column
                    < boxes.corners_FE4[frame, e, 2] * 8
                    for e in edits
                ]
                if len(edits) and not any(inside):
                    scores[:, word] = -torch.inf
            expected = (scores.softmax(1) * value[place]).sum(1)
            torch.testing.assert_close(out[place, :, token], expected)

    def test_it_ends_after_its_share_of_the_steps(self, tiny_sd: Path) -> None:
        plan, checkpoint = plan_for(tiny_sd), loaded(tiny_sd)
        base = checkpoint.attention(FRAMES, plan.attention)
        attention = BoxedWords(base, plan, boxes_of(plan), share=0.5)
        layer = AttentionLayer("layer", 0, "cross")
        query = torch.randn(FRAMES, 2, 64, 4)
        key = torch.randn(FRAMES, 2, plan.words_ET.shape[1], 4)
        plain = base.cross_attention(layer, query, key, key)
        same = []
        for step in range(4):
            attention.begin_step(step, 4, 500.0)
            same.append(torch.equal(attention.cross_attention(layer, query, key, key), plain))
        assert same == [False, False, True, True]


def test_the_unconditional_pass_attends_to_the_null_embeddings_of_all_frames(
    tiny_sd: Path,
) -> None:
    """One text of all frames' embeddings gives what keys of all frames give."""
    checkpoint, plan = loaded(tiny_sd), plan_for(tiny_sd, "frames full")
    plain = checkpoint.attention(FRAMES, plan.attention)
    x = noise()
    negative, target = (
        checkpoint.condition([checkpoint.encode_prompt(text)], x) for text in ("", plan.target)
    )
    null = torch.randn(1, FRAMES, *negative[TEXT].shape[1:])
    predictor = GroundedPredictor(
        predict=Denoiser(checkpoint).predict,
        checkpoint=checkpoint,
        plain=plain,
        negative=negative,
        target=target,
        null_SFTC=null,
    )
    t = torch.tensor(500)
    with checkpoint.installed(plain):
        both = predictor(torch.cat([x, x]), t, None, range(FRAMES), step=0, steps=1)
        conditional = checkpoint.predict(x, t, target, range(FRAMES), step=0, steps=1)
    assert torch.equal(both[FRAMES:], conditional)
    with checkpoint.installed(_KeysOfAllFrames(plain)):
        each = {"encoder_hidden_states": null[0]}
        expected = checkpoint.unet(x, t, **each, return_dict=False)[0]
    torch.testing.assert_close(both[:FRAMES], expected, atol=1e-5, rtol=1e-5)


class _KeysOfAllFrames:
    """Cross-attention as the paper's code has it: each frame has the keys of all."""

    def __init__(self, base: object) -> None:
        self._base = base

    def __getattr__(self, name: str) -> object:
        return getattr(self._base, name)

    def cross_attention(self, layer: object, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        k, v = (
            it.transpose(0, 1).flatten(1, 2)[None].expand(len(query), -1, -1, -1)
            for it in (key, value)
        )
        return torch.nn.functional.scaled_dot_product_attention(query, k, v)


class TestNullText:
    def nulls(
        self, checkpoint: StableDiffusion, plan: MaskPlan, updates: int, guidance: float = 7.5
    ) -> NullText:
        inputs = [
            checkpoint.condition([checkpoint.encode_prompt(text)], noise())
            for text in ("", "a red man and a blue man")
        ]
        attention = checkpoint.attention(1, plan.attention)
        return NullText(
            Denoiser(checkpoint), attention, *inputs, guidance=guidance, updates=updates
        )

    def test_it_finds_an_embedding_that_leads_to_the_trajectory(self, tiny_sd: Path) -> None:
        """The trajectory's next point is where another embedding leads."""
        checkpoint, plan = loaded(tiny_sd), plan_for(tiny_sd, "frames each norm each")
        scheduler = checkpoint.schedule.solver(Sampler(steps=1), CPU)
        x, nulls = noise(1), self.nulls(checkpoint, plan, 0, STRONG)
        rates = checkpoint.schedule.rates(scheduler, x)

        def moved(text_1TC: Tensor) -> Tensor:
            with torch.no_grad(), checkpoint.installed(nulls.attention):
                u, c = (
                    checkpoint.predict(
                        x, scheduler.timesteps[0], {TEXT: text}, [0], step=0, steps=1
                    )
                    for text in (text_1TC, nulls.source[TEXT])
                )
            return checkpoint.schedule.moved(x, u + STRONG * (c - u), *rates)

        wanted = moved(checkpoint.encode_prompt("a yellow bear on grass").words)
        errors = []
        for updates in (0, 40):
            found = self.nulls(checkpoint, plan, updates, STRONG).embeddings(
                torch.stack([wanted, x]), scheduler
            )
            assert found.shape == (1, 1, *nulls.negative[TEXT].shape[1:])
            errors.append(float((moved(found[0]) - wanted).square().mean()))
        assert errors[1] < 0.3 * errors[0]

    def test_without_guidance_there_is_nothing_to_optimise(self, tiny_sd: Path) -> None:
        """u + 1 (c − u) is c, whatever u is."""
        checkpoint, plan = loaded(tiny_sd), plan_for(tiny_sd, "frames each norm each")
        scheduler = checkpoint.schedule.solver(Sampler(steps=2), CPU)
        trajectory = torch.stack([noise(1), 0.5 * noise(1), noise(1)])
        found = [
            self.nulls(checkpoint, plan, 3, guidance).embeddings(trajectory, scheduler)
            for guidance in (1.0, STRONG)
        ]
        negative = checkpoint.encode_prompt("").words.expand_as(found[0][:, 0])
        assert torch.equal(found[0][:, 0], negative)
        assert not torch.allclose(found[1][:, 0], negative, atol=1e-3)

    def test_an_update_is_as_long_as_the_steps_learning_rate(self, tiny_sd: Path) -> None:
        """Adam's first, where gradients are large: 0.01 at first, and less from step to step."""
        checkpoint, plan = loaded(tiny_sd), plan_for(tiny_sd, "frames each norm each")
        scheduler = checkpoint.schedule.solver(Sampler(steps=4), CPU)
        trajectory = torch.stack([1e4 * noise(1)] * 5)
        nulls = self.nulls(checkpoint, plan, 1, STRONG)
        found = nulls.embeddings(trajectory, scheduler)[:, 0]
        before = torch.cat([checkpoint.encode_prompt("").words, found[:-1]])
        lengths = (found - before).abs().amax((1, 2))[:3]  # the last has small gradients
        wanted = 0.01 * (1 - torch.arange(3) / 8)
        torch.testing.assert_close(lengths, wanted, atol=1e-5, rtol=1e-2)

    def test_frames_do_not_know_each_other(self, tiny_sd: Path) -> None:
        checkpoint, plan = loaded(tiny_sd), plan_for(tiny_sd, "frames each norm each")
        scheduler = checkpoint.schedule.solver(Sampler(steps=2), CPU)
        trajectory = torch.stack([noise(), 0.5 * noise(), noise()])
        nulls = self.nulls(checkpoint, plan, 2)
        both = nulls.embeddings(trajectory, scheduler)
        alone = nulls.embeddings(trajectory[:, 1:], scheduler)
        assert torch.equal(both[:, 1:], alone)
        assert not torch.equal(both[:, 0], both[:, 1])


@pytest.fixture(scope="module")
def gligen(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusion:
    """A tiny UNet with gated layers that act."""
    return loaded(save_gligen(tmp_path_factory.mktemp("models") / "gligen"))


class TestGatedLayers:
    def shown(self, gligen: StableDiffusion, box: list[float], *, null: bool = False) -> Tensor:
        objects = gated_objects(
            gligen, ["green robot"], torch.tensor([[box]] * FRAMES), torch.ones(FRAMES, 1) > 0
        )
        assert objects is not None
        inputs = gligen.condition([gligen.encode_prompt("a man")], noise())
        with torch.no_grad(), objects.shown(range(FRAMES), null=null):
            return gligen.predict(
                noise(), torch.tensor(500), inputs, range(FRAMES), step=0, steps=1
            )

    def test_boxes_act_and_leave_no_trace(self, gligen: StableDiffusion) -> None:
        inputs = gligen.condition([gligen.encode_prompt("a man")], noise())
        arguments = (noise(), torch.tensor(500), inputs, range(FRAMES))
        with torch.no_grad():
            before = gligen.predict(*arguments, step=0, steps=1)
        left = self.shown(gligen, [0.0, 0.0, 0.5, 1.0])
        right = self.shown(gligen, [0.5, 0.0, 1.0, 1.0])
        null = self.shown(gligen, [0.5, 0.0, 1.0, 1.0], null=True)
        assert not torch.allclose(left, right, atol=1e-5)
        assert not torch.allclose(null, right, atol=1e-5)
        with torch.no_grad():
            assert torch.equal(gligen.predict(*arguments, step=0, steps=1), before)
        assert not gligen.unet._forward_pre_hooks

    def test_one_frame_is_diffusers_own_gligen(self, gligen: StableDiffusion) -> None:
        objects = gated_objects(
            gligen, ["green robot"], torch.tensor([[[0.1, 0.2, 0.5, 1.0]]]), torch.ones(1, 1) > 0
        )
        assert objects is not None
        text = gligen.encode_prompt("a man").words
        pooled = gligen.pipe.text_encoder(
            **gligen.pipe.tokenizer(["green robot"], return_tensors="pt")
        ).pooler_output
        boxes, masks, phrases = torch.zeros(1, 30, 4), torch.zeros(1, 30), torch.zeros(1, 30, 16)
        boxes[0, 0], masks[0, 0] = torch.tensor([0.1, 0.2, 0.5, 1.0]), 1
        phrases[0, 0] = pooled
        with torch.no_grad():
            expected = gligen.unet(
                noise(1),
                500,
                text,
                return_dict=False,
                cross_attention_kwargs={
                    "gligen": {"boxes": boxes, "masks": masks, "positive_embeddings": phrases}
                },
            )[0]
            with objects.shown([0]):
                out = gligen.unet(noise(1), 500, text, return_dict=False)[0]
        torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)

    def test_they_attend_across_frames(self, gligen: StableDiffusion) -> None:
        objects = gated_objects(
            gligen, ["robot"], torch.tensor([[[0.1, 0.2, 0.5, 1.0]]] * 2), torch.ones(2, 1) > 0
        )
        assert objects is not None
        hidden = torch.randn(2, 5, gated_layers(gligen.unet)[0].attn.to_q.in_features)
        attn = gated_layers(gligen.unet)[0].attn
        with torch.no_grad():
            whole = attn(hidden.flatten(0, 1)[None])
            with objects.shown(range(2)):
                out = attn(hidden)
        torch.testing.assert_close(out.flatten(0, 1)[None], whole, atol=1e-5, rtol=1e-5)

    def test_other_checkpoints_have_none(self, tiny_sd: Path) -> None:
        assert gated_objects(loaded(tiny_sd), ["x"], torch.zeros(1, 1, 4), torch.ones(1, 1)) is None
        assert not gated_layers(UNet2DConditionModel.from_pretrained(tiny_sd / "unet"))


def job_for(plan: MaskPlan, frames: int, **settings: Any) -> Job:
    lengths = np.zeros((frames - 1, 16, 16))
    lengths[:, 8:] = 3
    return Job(
        plan=plan,
        source=plan.target,
        negative="",
        sampler=Sampler(steps=STEPS, guidance=3),
        windows=frame_windows(frames, None),
        method=Method(name="ground_a_video", **settings),
        motion=flow(lengths),
    )


def run(
    make: MakeProcess,
    checkpoint: StableDiffusion,
    job: Job,
    attention: Callable[[], Attention] = lambda: pytest.fail("not its own"),
) -> Tensor:
    process = make(
        Denoiser(checkpoint), noise(len(job.plan.groups)), {}, use_cache=False, look_up=False
    )
    return process.run(
        job,
        attention,
        stage=lambda name, variant=None: nullcontext(lambda done, total: None),
        begin=None,
        keep=lambda done, state: None,
        warn=lambda finding: pytest.fail(str(finding)),
    ).latents


def test_null_embeddings_bring_a_frame_back(tiny_sd: Path) -> None:
    """With the source prompt as target, guided sampling leads back to the source."""
    checkpoint, plan = loaded(tiny_sd), plan_for(tiny_sd, frames=1)

    def error(updates: int) -> float:
        job = job_for(plan, 1, regions="off", null_updates=updates)
        return float((run(GroundAVideo, checkpoint, job) - noise(1)).square().mean())

    assert error(20) < 0.6 * error(0)


def test_without_guidance_no_pass_of_null_text_runs(
    tiny_sd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The null embeddings are what the optimisation would find, and so is every bit of the edit."""
    checkpoint, plan = loaded(tiny_sd), plan_for(tiny_sd)
    job = job_for(plan, FRAMES, null_updates=2)
    job = replace(job, negative="a bear", sampler=Sampler(steps=STEPS, guidance=1))
    process = GroundAVideo(Denoiser(checkpoint), noise(), {}, use_cache=False, look_up=False)
    trajectory, _ = process.inversions.of(process.inverted(job), lambda done, total: None, print)
    negative, source = (
        checkpoint.condition([checkpoint.encode_prompt(text)], trajectory[-1])
        for text in (job.negative, job.source)
    )
    optimised = process._null_text(job, trajectory, negative, source, lambda done, total: None)
    used: list[Tensor] = []
    made = GroundedPredictor

    def predictor(*, null_SFTC: Tensor, **others: Any) -> GroundedPredictor:
        used.append(null_SFTC)
        return made(null_SFTC=null_SFTC, **others)

    monkeypatch.setattr(ground_a_video, "GroundedPredictor", predictor)
    monkeypatch.setattr(GroundAVideo, "_null_text", lambda *_: pytest.fail("a pass in vain"))
    skipped = run(GroundAVideo, checkpoint, job)
    assert torch.equal(used[0], optimised)
    monkeypatch.setattr(GroundAVideo, "_null_text", lambda *_: optimised)
    near = replace(job, sampler=Sampler(steps=STEPS, guidance=1.0 + 1e-15))
    assert near.sampler.guidance != 1
    assert torch.equal(run(GroundAVideo, checkpoint, near), skipped)


@pytest.mark.parametrize(("guidance", "null_text"), [(1, 0), (3, 2 + 2)])
def test_the_passes_are_counted(guidance: float, null_text: int) -> None:
    spec = parse(
        'grain 1 video "c" target "a bear" region r = all edit r -> "bear" '
        f"method ground_a_video {{ null_updates 2 }} sampler {{ guidance {guidance} }}"
    )
    prepared = SimpleNamespace(
        process="ground_a_video", spec=spec, timesteps=range(5), windows=range(1)
    )
    assert denoiser_passes(cast(Prepared, prepared)) == 3 * 5 + 1 + 5 * null_text


def test_a_checkpoint_with_gated_layers_is_grounded_by_them(gligen: StableDiffusion) -> None:
    plan = plan_for(gligen.folder)
    off, boxes, never = (
        run(GroundAVideo, gligen, job_for(plan, FRAMES, **settings, null_updates=0))
        for settings in ({"regions": "off"}, {}, {"grounded": 0.0})
    )
    assert not torch.allclose(off, boxes, atol=1e-3)
    assert torch.equal(off, never)


def test_long_clips_run_in_windows(tiny_sd: Path, gligen: StableDiffusion) -> None:
    for checkpoint in (loaded(tiny_sd), gligen):
        plan = plan_for(checkpoint.folder, frames=3)
        windows = (FrameWindow((0, 1), (1.0, 0.5)), FrameWindow((1, 2), (0.5, 1.0)))
        job = job_for(plan, 3, null_updates=1)
        assert run(GroundAVideo, checkpoint, replace(job, windows=windows)).isfinite().all()


def test_the_flow_of_the_clip_reaches_it(tiny_sd: Path) -> None:
    spec = f"""grain 1
    video "clips/two_men.mp4" {{ frames 0..2 size 64x64 }}  model "{tiny_sd.as_posix()}"
    source "a red man and a blue man"  target "a green robot and a blue man"
    region left = masks("masks/two_men/left")  edit instance left -> "green robot"
    sampler {{ steps 2 }}
    """
    editor = Editor(str(tiny_sd), device="cpu", use_cache=False)
    edited = [
        editor.run(parse(f"{spec} method ground_a_video {{ still {still} }}"), base=EXAMPLES)
        for still in ("0%", "100%")
    ]
    assert "flow" in edited[0].seconds
    assert (edited[0].edited != edited[1].edited).any()
