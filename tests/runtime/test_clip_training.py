"""The training of the demo world's CLIP: its data, that it learns, resumes, and what it saves."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import CLIPModel, CLIPTokenizer

from grainspec_runtime.demo.clip_training import __main__ as program
from grainspec_runtime.demo.clip_training import training as training_module
from grainspec_runtime.demo.clip_training.data import data_of, is_true
from grainspec_runtime.demo.clip_training.examples import held_out_examples, training_examples
from grainspec_runtime.demo.clip_training.networks import MOST_PARAMETERS, build_clip, save_clip
from grainspec_runtime.demo.clip_training.retrieval import WAYS, retrieval
from grainspec_runtime.demo.clip_training.statements import (
    CHANGES,
    complete,
    facts_of,
    random_statement,
)
from grainspec_runtime.demo.clip_training.training import contrastive_loss
from grainspec_runtime.demo.training.tokenizer import build_tokenizer
from grainspec_runtime.demo.training.trainer import Trainer, to_unit
from grainspec_runtime.demo.world import Figure, Scene, random_scene
from grainspec_runtime.measures.clip_model import load_clip

torch.set_num_threads(1)
RED, BLUE = Figure("man", "red"), Figure("man", "blue")


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return build_tokenizer()


def trainer_in(place: Path, *more: str) -> Trainer:
    folders = ["--out", str(place / "clip"), "--work", str(place / "work")]
    small = "--device cpu --workers 1 --renders 8 --batch 8 --held-out 2 --patch 12".split()
    return Trainer(program.options([*folders, *small, *more]))


# --- statements ----------------------------------------------------------------------------------


def test_swapped_words_that_cannot_be_told_are_the_same_facts() -> None:
    scene = Scene((RED, BLUE))
    swapped = replace(scene, figures=(BLUE, RED))
    facts = [complete(s, random.Random(seed)).facts for s in (scene, swapped) for seed in range(3)]
    assert len(set(facts)) == 1
    told = facts_of([Figure("robot", "red"), BLUE])
    assert told != facts_of([Figure("robot", "blue"), RED])  # other colours on other kinds


def test_two_alike_are_more_than_one() -> None:
    one, two = (torch.tensor([[*facts_of([RED] * n), -1][:2]]) for n in (1, 2))
    assert is_true(one, two).item()
    assert not is_true(two, one).item()


def test_random_captions_are_true_of_their_scene() -> None:
    rng = random.Random(0)
    for _ in range(200):
        scene = random_scene(rng)
        statement = random_statement(scene, rng)
        assert set(statement.facts) <= set(facts_of(scene.figures, scene.ground, scene.background))
        assert statement.words


# --- examples ------------------------------------------------------------------------------------


def test_every_caption_is_true_of_its_frame_and_every_changed_one_false(
    tokenizer: CLIPTokenizer, tmp_path: Path
) -> None:
    examples = training_examples(40, seed=3)
    data = data_of(trainer_in(tmp_path), examples, tokenizer, decoded=0.0, seed=0)
    for column in range(data.facts.shape[1]):
        assert bool(is_true(data.facts[:, column], data.truths).diagonal().all())
        assert not bool(is_true(data.false_facts[:, column], data.truths).diagonal().any())
    for words, false in zip(examples.words, examples.false_words, strict=True):
        assert all(a != b for a, b in zip(words, false, strict=True))
    assert set(examples.changes) == set(CHANGES)
    close = (examples.boxes[:, 2] - examples.boxes[:, 0]) < 1
    assert 0.1 < close.mean() < 0.45
    assert (examples.boxes[::2] == examples.boxes[1::2]).all()  # both of a pair show the same part
    assert (examples.frames[::2] != examples.frames[1::2]).any((1, 2, 3)).all()


def test_examples_depend_on_their_number_alone() -> None:
    two, one = training_examples(2, seed=7), training_examples(1, seed=8)
    assert (two.frames[2:] == one.frames).all()
    assert two.words[2:] == one.words


def test_a_held_out_scene_differs_in_one_thing_from_its_changes() -> None:
    examples = held_out_examples(3, changed_ways=WAYS, seed=1, from_clips=True)
    block = 1 + WAYS
    assert len(examples.frames) == 3 * block
    assert len(examples.changes) == 3 * WAYS
    for start in range(0, len(examples.frames), block):
        first = examples.truths[start]
        words = examples.words[start][0]
        for way in range(1, block):
            assert not np.array_equal(examples.truths[start + way], first)
            assert examples.words[start + way][0] != words
            changed = set(examples.truths[start + way]) - set(first)
            assert len(changed) <= 2  # of two alike figures, the other one's number may change


def test_frames_are_shown_as_edits_leave_them(tokenizer: CLIPTokenizer, tmp_path: Path) -> None:
    examples = training_examples(4, seed=0)
    trainer = trainer_in(tmp_path)
    plain, decoded = (
        data_of(trainer, examples, tokenizer, decoded=share, seed=0) for share in (0.0, 1.0)
    )
    error = (to_unit(plain.frames) - to_unit(decoded.frames)).square().flatten(1).mean(1)
    psnr = -10 * torch.log10(error / 4)
    assert 24 < float(psnr.min()) < 60
    whole = torch.from_numpy(examples.boxes[:, 2] - examples.boxes[:, 0]) == 1
    frames = torch.from_numpy(examples.frames).permute(0, 3, 1, 2)
    assert torch.equal(plain.frames[whole], frames[whole])


# --- the loss ------------------------------------------------------------------------------------


def test_true_captions_of_other_frames_are_never_wrong(
    tokenizer: CLIPTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With embeddings all alike, the loss is the logarithm of how many candidates there are."""
    examples = training_examples(1, seed=0)
    data = data_of(trainer_in(tmp_path), examples, tokenizer, decoded=0.0, seed=0)
    monkeypatch.setattr(
        training_module, "embed_pixels", lambda model, frames: torch.zeros(len(frames), 1)
    )
    monkeypatch.setattr(training_module, "embed_texts", lambda model, ids: torch.zeros(len(ids), 1))
    model = build_clip(tokenizer, 12)
    rows, which = torch.tensor([0, 0, 0]), torch.tensor([0, 0, 0])
    # the same frame three times: all three captions are true of each, all three changed ones false
    assert contrastive_loss(model, data, rows, which).item() == pytest.approx(math.log(4) / 2)


# --- retrieval -----------------------------------------------------------------------------------


def test_retrieval_of_a_model_that_knows_and_of_one_that_does_not(
    tokenizer: CLIPTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from grainspec_runtime.demo.clip_training import retrieval as module

    examples = held_out_examples(4, changed_ways=WAYS, seed=5, from_clips=False)
    trainer = trainer_in(tmp_path)
    data = data_of(trainer, examples, tokenizer, decoded=0.0, seed=0)
    count = len(data.frames)
    monkeypatch.setattr(module, "embed_pixels", lambda model, frames: torch.eye(count))
    monkeypatch.setattr(module, "embed_texts", lambda model, ids: torch.eye(count))
    known = retrieval(trainer, build_clip(tokenizer, 12), data, examples.changes)
    assert set(known.values()) == {1.0}
    assert {f"told_{change}" for change in CHANGES} < set(known)
    monkeypatch.setattr(module, "embed_texts", lambda model, ids: torch.eye(count).flip(1))
    assert set(retrieval(trainer, build_clip(tokenizer, 12), data, examples.changes).values()) == {
        0.0
    }


# --- the program ---------------------------------------------------------------------------------


def train(place: Path, name: str, *more: str) -> Path:
    folder = place / name
    folders = ["--out", str(folder), "--work", str(place / f"work of {name}")]
    small = "--device cpu --workers 1 --renders 16 --steps 4 --batch 8 --held-out 2 --patch 12"
    program.main([*folders, *small.split(), "--decoded", "0.2", "--judge-every", "2", *more])
    return folder


def log_of(folder: Path, stage: str) -> list[dict[str, Any]]:
    text = (folder.parent / f"work of {folder.name}" / "log.jsonl").read_text()
    return [line for line in map(json.loads, text.splitlines()) if line["stage"] == stage]


def test_a_training_that_was_stopped_is_the_same(tmp_path: Path) -> None:
    whole = train(tmp_path, "whole")
    for name in ("renders", "renders decoded", "clips", "clips decoded"):
        lines = log_of(whole, f"held-out {name}")
        assert [line["step"] for line in lines] == [2, 4]
        assert {"image_to_text_64", "text_to_image_256", "told_colour"} < set(lines[0])
    stopped = train(tmp_path, "stopped", "--stop-after", "0")
    assert not (stopped / "config.json").exists()
    assert log_of(stopped, "clip")[-1]["saved_at"] == 1
    train(tmp_path, "stopped")
    assert log_of(stopped, "clip")[-1]["resumed_at"] == 1
    both = [CLIPModel.from_pretrained(folder).state_dict() for folder in (whole, stopped)]
    # Adam makes steps of the rounding of small gradients, which differs from run to run: weights are
    # 2e-4 apart on average, and 15e-4 if the batches are other ones
    weights = [torch.cat([w.float().flatten() for w in state.values()]) for state in both]
    assert (weights[0] - weights[1]).abs().mean() < 5e-4
    train(tmp_path, "whole")  # leaves what there is alone
    assert len(log_of(whole, "held-out clips")) == 2


@pytest.mark.parametrize("patch", [8, 12])
def test_what_is_saved_is_a_stock_clip(
    tokenizer: CLIPTokenizer, tmp_path: Path, patch: int
) -> None:
    model = build_clip(tokenizer, patch).eval()
    assert sum(weight.numel() for weight in model.parameters()) <= MOST_PARAMETERS
    size = save_clip(model, tokenizer, tmp_path / "clip")
    assert size <= 1_400_000 + 100_000  # the header of the file comes on top
    clip = load_clip(str(tmp_path / "clip"), device="cpu")
    frames = training_examples(1, seed=0).frames
    ids = tokenizer(["a red robot"], return_tensors="pt").input_ids
    with torch.inference_mode():
        x = to_unit(torch.from_numpy(frames).permute(0, 3, 1, 2))
        wanted = model.float().visual_projection(model.vision_model(pixel_values=x).pooler_output)
        words = model.text_projection(model.text_model(input_ids=ids).pooler_output)
    np.testing.assert_allclose(clip.of_frames(frames), wanted.numpy(), atol=2e-3)
    np.testing.assert_allclose(clip.of_text("a red robot"), words[0].numpy(), atol=2e-3)


def test_padding_does_not_change_a_text(tokenizer: CLIPTokenizer) -> None:
    from grainspec_runtime.demo.clip_training.retrieval import embed_texts

    model = build_clip(tokenizer, 12).eval()
    short, padded = (
        tokenizer(["a red robot"], return_tensors="pt", **more).input_ids
        for more in ({}, {"padding": "max_length", "max_length": 48})
    )
    torch.testing.assert_close(embed_texts(model, short), embed_texts(model, padded))
