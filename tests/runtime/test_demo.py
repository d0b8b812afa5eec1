"""The demo world and the models that learnt it."""

from __future__ import annotations

import argparse
import doctest
import random
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from grainspec import parse
from grainspec_runtime.demo import checks, dataset, pose, world
from grainspec_runtime.demo import render as render_module
from grainspec_runtime.demo.figures import part_box
from grainspec_runtime.demo.judge import Judge
from grainspec_runtime.demo.render import render
from grainspec_runtime.demo.training import save
from grainspec_runtime.demo.training import trainer as trainer_module
from grainspec_runtime.demo.training.diffusion import Noising
from grainspec_runtime.demo.training.networks import (
    build_controlnet,
    build_scheduler,
    build_text_encoder,
    build_unet,
    build_vae,
)
from grainspec_runtime.demo.training.tokenizer import build_tokenizer
from grainspec_runtime.demo.training.trainer import Trainer, save_half
from grainspec_runtime.demo.training.unet import TextToLatent
from grainspec_runtime.models.locate import DEMO_FOLDER

TWO = world.Scene(
    (
        world.Figure("robot", "green", x=0.28, hat=True),
        world.Figure("bear", "yellow", x=0.72, sunglasses=True),
    ),
    "cherry trees",
    "sand",
)


@pytest.mark.parametrize("module", [checks, world, pose, render_module])
def test_examples_in_docstrings(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a gru\u0308ner robot", "“grüner”"),
        ("หุ่นยนต์ robot", "“หุ่นยนต์”"),
        ("हरा रोबोट", "“हरा”, “रोबोट”"),
        ("စက်ရုပ် 2", "“စက်ရုပ်”"),
        ("رَجُل", "“رَجُل”"),
        ("می\u200cخواهم", "“می\u200cخواهم”"),
    ],
)
def test_unknown_words_are_whole(prompt: str, words: str) -> None:
    spec = parse(f'grain 1 video "c" target "{prompt}" region r = all edit r -> "{prompt}"')
    [warning] = checks.unknown_words(spec)
    assert f"not on {words}" in warning.message


def test_masks_cover_what_was_drawn() -> None:
    with_figures, masks = render(TWO)
    without, _ = render(world.Scene((), TWO.background, TWO.ground))
    changed = (with_figures != without).any(-1)
    figures = masks["figure0"] | masks["figure1"]
    assert (changed & ~figures).mean() < 0.03  # pixels that a figure touches by less than half
    assert (figures & ~changed).mean() < 0.001
    parts = sum(masks[f"figure0.{part}"].astype(int) for part in world.PARTS)
    assert (parts > 1).mean() < 0.002  # pixels that two parts share half and half
    assert masks["figure0.hat"].any()
    assert not masks["figure0.eyes"].any()
    assert masks["figure1.eyes"].any()
    together = sum(masks[n].astype(int) for n in ("figure0", "figure1", "ground", "background"))
    assert (together == 1).mean() > 0.99


def test_part_boxes_hold_their_parts() -> None:
    for kind in world.KINDS:
        figure = world.Figure(kind, "red", hat=True, sunglasses=True, phase=1.0)
        _, masks = render(world.Scene((figure,)), 192)
        for part in ("eyes", "hat"):
            x0, y0, x1, y1 = (round(side * 192) for side in part_box(figure, part))
            mask = masks[f"figure0.{part}"]
            assert mask[max(0, y0) : y1, x0:x1].sum() / mask.sum() > 0.97, (kind, part)
    with pytest.raises(ValueError, match="choose 'eyes' or 'hat'"):
        part_box(world.Figure("man", "red"), "nose")


def test_captions_use_the_vocabulary_and_hide_left_and_right() -> None:
    rng = random.Random(0)
    for _ in range(500):
        scene = world.random_scene(rng)
        words = world.random_caption(scene, rng).replace(",", "").split()
        assert set(words) <= set(world.VOCABULARY)
    assert not {"left", "right"} & set(world.VOCABULARY)
    assert world.caption(TWO) == (
        "a green robot with a hat and a yellow bear with sunglasses on sand before cherry trees"
    )
    pair = world.Scene((world.Figure("cat", "blue", hat=True),) * 2)
    assert world.caption(pair, group=True).startswith("two blue cats with hat on grass")


def test_renders_depend_on_the_seed_alone() -> None:
    one = dataset.render_many(6, size=48, seed=3)
    other = dataset.render_many(4, size=48, seed=5)
    assert (one.frames[2:] == other.frames).all()
    assert one.captions[2:] == other.captions


def test_pose_pictures_are_of_the_same_scenes_as_renders() -> None:
    """Where a render has a figure there is a head, and none where it has nobody."""
    renders = dataset.render_many(5, size=48, seed=3)
    pictures = pose.pose_pictures(5, size=48, seed=3)
    for seed, picture, boxes in zip(range(3, 8), pictures, renders.boxes, strict=True):
        scene = world.random_scene(random.Random(seed))
        assert (picture == pose.pose_picture(scene, 48)).all()
        for x0, y0, x1, y1 in boxes[~np.isnan(boxes).any(1)]:
            inside = picture[int(y0 * 48) : int(y1 * 48) + 1, int(x0 * 48) : int(x1 * 48) + 1]
            assert (inside == 255).all(-1).any()


def test_poses_say_which_way_a_figure_faces_and_steps() -> None:
    figure = world.Figure("cat", "red", phase=1.0)
    pictures = [
        pose.pose_picture(world.Scene((replace(figure, **changes),)))
        for changes in ({}, {"facing": -1}, {"phase": 0.0}, {"height": 0.5}, {"colour": "blue"})
    ]
    assert [bool((picture == pictures[0]).all()) for picture in pictures[1:]] == [False] * 3 + [
        True
    ]


def test_noise_and_v_give_back_what_they_were_made_of() -> None:
    torch.manual_seed(0)
    clean = torch.randn(4, 4, 6, 6)
    noisy, t, v = Noising(torch.device("cpu"))(clean)
    signal = build_scheduler().alphas_cumprod[t].sqrt()[:, None, None, None]
    torch.testing.assert_close(signal * noisy - (1 - signal**2).sqrt() * v, clean)


def test_the_controlnet_fits_the_unet_and_begins_by_changing_nothing() -> None:
    unet, net = build_unet(), build_controlnet()
    x, t, words = torch.randn(2, 4, 24, 24), torch.tensor([7, 500]), torch.randn(2, 48, 128)
    with torch.inference_mode():
        down, middle = net(x, t, words, torch.rand(2, 3, 96, 96), return_dict=False)
        told = unet(
            x,
            t,
            words,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample
        torch.testing.assert_close(told, unet(x, t, words).sample)


def test_renders_are_kept_whole(tmp_path: object) -> None:
    renders = dataset.render_many(3, size=48, seed=0)
    renders.save(tmp_path / "r")  # type: ignore[operator]
    again = dataset.Renders.load(tmp_path / "r")  # type: ignore[operator]
    assert (again.frames == renders.frames).all()
    assert again.captions == renders.captions
    np.testing.assert_array_equal(again.boxes, renders.boxes)


def test_every_word_is_one_token() -> None:
    tokenizer = build_tokenizer()
    for word in world.VOCABULARY:
        assert len(tokenizer(word, add_special_tokens=False).input_ids) == 1


def test_the_judge_reads_renders() -> None:
    judge = Judge.from_pretrained(DEMO_FOLDER)
    rng = random.Random(1)
    right = total = 0
    for _ in range(60):
        scene = world.random_scene(rng, figures=1)
        frame, masks = render(scene)
        pixels = torch.from_numpy(frame.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        box = torch.tensor([dataset.mask_box(masks["figure0"])], dtype=torch.float32)
        figure = scene.figures[0]
        (seen,) = judge.figures(pixels, box)
        right += (seen.kind, seen.colour) == (figure.kind, figure.colour)
        right += (seen.hat, seen.sunglasses) == (figure.hat, figure.sunglasses)
        (place,) = judge.places(pixels)
        right += (place.ground, place.background) == (scene.ground, scene.background)
        total += 3
    assert right / total > 0.97


def test_weights_that_are_half_written_are_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(state: object, path: Path) -> None:
        path.write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer_module, "save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_half(torch.nn.Linear(2, 2), tmp_path / "judge.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_half_saved_is_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = argparse.Namespace(device="cpu", out=tmp_path / "out", work=tmp_path / "work")
    trainer, tokenizer = Trainer(options), build_tokenizer()
    model = TextToLatent(build_text_encoder(tokenizer), build_unet())
    build_vae().save_pretrained(trainer.out / "vae")

    def interrupted(weights: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(save, "_name_as_checkpoints_do", interrupted)
        save.save_pipeline(trainer, model, tokenizer)
    assert not (trainer.out / "model_index.json").exists()

    save.save_pipeline(trainer, model, tokenizer)
    assert (trainer.out / "tokenizer" / "vocab.json").is_file()
    StableDiffusionPipeline.from_pretrained(trainer.out, safety_checker=None)
