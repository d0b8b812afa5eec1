"""The training of the demo's motion adapter: what it saves, that it learns, and that it resumes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import MotionAdapter, UNet2DConditionModel

from grainspec.diagnostics import GrainError
from grainspec.model.spec import Sampler
from grainspec_runtime.backbones.registry import describe, load_checkpoint
from grainspec_runtime.demo.motion_training import __main__ as program
from grainspec_runtime.demo.motion_training import training
from grainspec_runtime.demo.motion_training.adapter import build_adapter, demo_unet, save_adapter
from grainspec_runtime.demo.motion_training.clips import (
    ClipLatents,
    clip_latents,
    render_clips,
)
from grainspec_runtime.demo.training.trainer import Trainer
from grainspec_runtime.models.locate import _ADDED
from grainspec_runtime.models.options import LoadOptions

CPU = LoadOptions(device="cpu")


def small_unet() -> UNet2DConditionModel:
    """A random UNet for the shipped model's latents and text, of which a step takes no time."""
    torch.manual_seed(5)
    unet = UNet2DConditionModel(
        sample_size=24,
        block_out_channels=(32, 32),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=1,
        cross_attention_dim=128,
    )
    frozen: UNet2DConditionModel = unet.eval().requires_grad_(False)
    return frozen


def still_clips(_: object) -> ClipLatents:
    """Latents of clips that stand still: how they differ in noise tells what they are."""
    draw = torch.Generator().manual_seed(3)
    latents = torch.randn(8, 1, 4, 8, 8, generator=draw).expand(-1, 4, -1, -1, -1)
    return ClipLatents(latents.half(), [["a red robot", "a blue bear"]] * 8)


def train(place: Path, monkeypatch: pytest.MonkeyPatch, name: str, *more: str) -> Path:
    """Train a small adapter on a small model; return the adapter's folder."""
    monkeypatch.setattr(training, "demo_unet", small_unet)
    monkeypatch.setattr(program, "clip_latents", still_clips)
    out = place / name
    folders = ["--out", str(out), "--work", str(place / f"work of {name}")]
    options = "--device cpu --frames 4 --layers 1 1 --batch 4 --held-out 4 --rate 1e-2"
    program.main([*folders, *options.split(), "--steps", "8", "--judge-every", "4", *more])
    return out


def log_of(adapter: Path, stage: str) -> list[dict[str, Any]]:
    text = (adapter.parent / f"work of {adapter.name}" / "log.jsonl").read_text()
    return [line for line in map(json.loads, text.splitlines()) if line["stage"] == stage]


def test_it_learns_and_a_training_that_was_stopped_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(tmp_path, monkeypatch, "whole")
    losses = log_of(whole, "held out")
    assert [line["step"] for line in losses] == [4, 8]
    assert losses[1]["loss"] < losses[0]["loss"] < losses[0]["without"]
    stopped = train(tmp_path, monkeypatch, "stopped", "--stop-after", "0")
    assert not (stopped / "config.json").exists()
    assert log_of(stopped, "motion")[-1]["saved_at"] == 1
    train(tmp_path, monkeypatch, "stopped")
    assert log_of(stopped, "motion")[-1]["resumed_at"] == 1
    both = [MotionAdapter.from_pretrained(folder).state_dict() for folder in (whole, stopped)]
    for name, weight in both[0].items():
        assert torch.equal(weight, both[1][name]), name
    train(tmp_path, monkeypatch, "whole")  # leaves what there is alone
    assert len(log_of(whole, "held out")) == 2


def test_an_adapter_that_learned_nothing_is_the_shipped_image_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = build_adapter(demo_unet(), 24)
    size = save_adapter(adapter, tmp_path / "motion")
    assert size < 3_300_000
    assert sum(weight.numel() for weight in adapter.parameters()) == 1_587_264
    monkeypatch.setitem(_ADDED, "demo-motion", (tmp_path / "motion", "motion_training"))
    image, moving = (load_checkpoint(name, Path(), CPU) for name in ("demo-image", "demo-motion"))
    assert describe("demo-motion", Path()).most_frames == 24
    with pytest.raises(GrainError, match="G554"):  # it has its own
        describe("demo-motion", Path(), motion_adapter=str(tmp_path / "motion"))
    x = torch.randn(2 * 3, 4, 24, 24, generator=torch.Generator().manual_seed(0))
    words = [image.encode_prompt(text) for text in ("", "a red robot on grass")]
    predictions = [
        model.predict(x, torch.tensor(601), model.condition(words, x), range(3), step=0, steps=2)
        for model in (image, moving)
    ]
    torch.testing.assert_close(*predictions, rtol=0, atol=1e-5)
    rates = [
        model.schedule.rates(model.schedule.solver(Sampler(steps=3), torch.device("cpu")), x)
        for model in (image, moving)
    ]
    assert rates[0] == rates[1]  # the noise that it was trained with lies beside it


def test_clips_depend_on_their_number_alone() -> None:
    [(two, words)] = render_clips(2, 2, seed=7, workers=1)
    [(one, word)] = render_clips(1, 2, seed=8, workers=1)
    assert (two[1] == one[0]).all()
    assert words[1] == word[0]
    assert two.shape == (2, 2, 96, 96, 3)


def test_clips_are_encoded_once(tmp_path: Path) -> None:
    arguments = ["--out", str(tmp_path / "motion"), "--work", str(tmp_path / "work")]
    few = ["--device", "cpu", "--clips", "2", "--frames", "1", "--workers", "1"]
    trainer = Trainer(program.options([*arguments, *few]))
    clips = clip_latents(trainer)
    assert clips.latents.shape == (2, 1, 4, 24, 24)
    again = clip_latents(trainer)
    assert torch.equal(again.latents, clips.latents)
    assert again.captions == clips.captions
    assert len((tmp_path / "work" / "log.jsonl").read_text().splitlines()) == 1
