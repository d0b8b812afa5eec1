"""Training of the demo video model, at toy sizes."""

from __future__ import annotations

import argparse
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, WanPipeline, WanTransformer3DModel
from safetensors.torch import load_file
from torch import Tensor, nn

from grainspec.model.spec import Size
from grainspec_runtime.backbones.registry import find_model
from grainspec_runtime.demo import world
from grainspec_runtime.demo.training.phrases import tokens_of
from grainspec_runtime.demo.video_training.__main__ import main
from grainspec_runtime.demo.video_training.flow import random_levels
from grainspec_runtime.demo.video_training.loop import Loop, Schedule, Stopped
from grainspec_runtime.demo.video_training.networks import begin_with_frames
from grainspec_runtime.demo.video_training.options import options
from grainspec_runtime.demo.video_training.run import Run
from grainspec_runtime.demo.video_training.tokenizer import MAX_TOKENS, build_tokenizer
from grainspec_runtime.demo.video_training.whole_clip import (
    Convolution,
    decode,
    encode,
    whole_clips,
)
from grainspec_runtime.demo.video_training.words import ids_of, pad_text, padding_scores
from grainspec_runtime.models.options import LoadOptions

TOY = """
--workers 1 --device cpu --clips 6 --first-clips 4 --held-out 2 --measured 2 --frames 5 --size 16
--vae-width 4 --decoder-width 4 --vae-levels 1 2 2 --latent-channels 3 --scaled-clips 4
--frame-steps 4 --frame-batch 4 --clip-steps 3 --clip-batch 2
--layers 1 --width 64 --ffn-width 64 --text-layers 1 --text-width 8
--flow-steps 4 --flow-batch 4 --phrase-steps 2 --log-every 2
""".split()


def random_vae(**settings: object) -> AutoencoderKLWan:
    torch.manual_seed(0)
    plain = {"base_dim": 4, "z_dim": 3, "dim_mult": [1, 2, 3], "num_res_blocks": 1}
    made = AutoencoderKLWan(**{**plain, "temperal_downsample": [True, True], **settings})
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim == 1:  # biases, which are small in a new network
                parameter.normal_()
    return made.double().eval()


def random_clips(frames: int) -> Tensor:
    return torch.rand(2, 3, frames, 16, 16, dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("frames", [1, 5, 9, 17])
@pytest.mark.parametrize(
    ("settings", "convolution"),
    [
        ({}, "taps"),
        ({}, "conv3d"),
        ({"temperal_downsample": [False, True]}, "taps"),
        ({"is_residual": True, "dim_mult": [1, 2, 2]}, "taps"),
    ],
    ids=["4x", "conv3d", "2x", "residual"],
)
@torch.no_grad()
def test_a_whole_clip_is_encoded_and_decoded_as_the_stock_vae_does_chunk_by_chunk(
    settings: dict[str, object], frames: int, convolution: Convolution
) -> None:
    vae, clips = random_vae(**settings), random_clips(frames)
    wanted = vae.encode(clips).latent_dist
    shown = vae.decode(wanted.mean).sample
    with whole_clips(vae, convolution):
        mean, logvar = encode(vae, clips)
        decoded = decode(vae, mean)
    torch.testing.assert_close(mean, wanted.mean)
    torch.testing.assert_close(logvar, wanted.logvar)
    torch.testing.assert_close(decoded.clamp(-1, 1), shown)
    assert torch.equal(vae.decode(wanted.mean).sample, shown)  # the stock methods work again


def test_gradients_through_a_whole_clip_are_those_of_the_stock_vae() -> None:
    vae, clips = random_vae(), random_clips(9)
    vae.decode(vae.encode(clips).latent_dist.mean).sample.square().sum().backward()
    wanted = [parameter.grad.clone() for parameter in vae.parameters()]
    vae.zero_grad()
    with whole_clips(vae):
        decode(vae, encode(vae, clips)[0]).clamp(-1, 1).square().sum().backward()
    for parameter, gradient in zip(vae.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


@torch.no_grad()
def test_the_vae_begins_as_an_image_vae_that_repeats_the_last_frame_of_a_group() -> None:
    vae, clips = random_vae(), random_clips(9)
    begin_with_frames(vae)
    shown = vae.decode(vae.encode(clips).latent_dist.mean).sample
    for frame, shown_frame in ((0, 0), (4, 1), (4, 4), (8, 5), (8, 8)):
        single = clips[:, :, frame : frame + 1]
        alone = vae.decode(vae.encode(single).latent_dist.mean).sample
        torch.testing.assert_close(shown[:, :, shown_frame : shown_frame + 1], alone)


@torch.no_grad()
def test_padding_scores_give_what_512_tokens_give() -> None:
    torch.manual_seed(0)
    transformer = WanTransformer3DModel(
        num_attention_heads=1,
        attention_head_dim=16,
        in_channels=3,
        out_channels=3,
        text_dim=8,
        freq_dim=16,
        ffn_dim=32,
        num_layers=2,
        rope_max_seq_len=8,
    ).double()
    noisy, words = torch.randn(2, 3, 2, 4, 4).double(), torch.randn(2, MAX_TOKENS, 8).double()
    attended = torch.arange(MAX_TOKENS) < torch.tensor([[3], [20]])
    words = words * attended[..., None]
    padded = torch.cat([words, words.new_zeros(2, 512 - MAX_TOKENS, 8)], 1)
    sigma = torch.tensor([900.0, 300.0])
    wanted = transformer(noisy, sigma, padded, return_dict=False)[0]
    pad_text(transformer).scores_B11T = padding_scores(attended)
    short = transformer(noisy, sigma, words, return_dict=False)[0]
    torch.testing.assert_close(short, wanted, rtol=1e-5, atol=1e-6)
    pad_text(transformer)  # without scores, padding counts as 28 or 45 tokens: another result
    assert not torch.allclose(transformer(noisy, sigma, words, return_dict=False)[0], wanted)


def test_noise_levels_are_shifted_and_reach_both_ends() -> None:
    torch.manual_seed(0)
    levels = random_levels(20_000, uniform=0.3, shift=3.0, device=torch.device("cpu"))
    assert 0 < levels.min() < 0.03
    assert 0.99 < levels.max() < 1
    assert levels.median() == pytest.approx(0.75, abs=0.01)  # 3 / (1 + 2) of 1/2 is 3/4
    flat = random_levels(20_000, uniform=1.0, shift=1.0, device=torch.device("cpu"))
    assert torch.histc(flat, 4, 0, 1) / 20_000 == pytest.approx([0.25] * 4, abs=0.02)


class TestTokenizer:
    def test_every_word_is_one_token_and_other_words_are_letters(self) -> None:
        tokenizer = build_tokenizer()
        text = "an orange cat with sunglasses, two men and a man on road before a night city"
        words = text.replace(",", " ,").split()
        assert len(tokenizer(text).input_ids) == len(words) + 1  # and the end
        assert len(tokenizer("dragon", add_special_tokens=False).input_ids) == len("▁dragon")
        assert tokenizer.unk_token_id not in tokenizer("dragon").input_ids

    def test_the_longest_caption_leaves_room_for_padding(self) -> None:
        figure = world.Figure("penguin", "orange", hat=True, sunglasses=True)
        others = [world.Figure(kind, "red", hat=True, sunglasses=True) for kind in ("man", "cat")]
        scene = world.Scene((figure, *others), background="a night city")
        ids = ids_of([world.caption(scene)], build_tokenizer())
        assert ids.shape == (1, MAX_TOKENS)
        assert int((ids == 0).sum()) >= 4

    def test_a_phrase_is_found_in_a_sentence(self) -> None:
        tokenizer = build_tokenizer()
        sentence, phrase = (
            "a blue cat, a red man with a hat and a cat on snow",
            "red man with a hat",
        )
        places = tokens_of(tokenizer, sentence, phrase, random.Random(0))
        alone = tokenizer(phrase, add_special_tokens=False).input_ids
        assert [tokenizer(sentence).input_ids[place] for place in places] == alone


def toy_run(folder: Path, **settings: object) -> Run:
    o = options("", [*TOY, "--out", str(folder / "out"), "--work", str(folder / "work")])
    return Run(argparse.Namespace(**{**vars(o), **settings}))


def trained(run: Run, *, steps: int = 8, until: int | None = None) -> nn.Module:
    """Train a small network on random inputs; stop before the end as if killed."""
    torch.manual_seed(0)
    network = nn.Linear(3, 3)
    loop = Loop(run, "toy", network, Schedule(steps, 0, rate=0.1))
    for step in loop:
        if step == until:
            return network
        x = torch.randn(5, 3)
        loop.descend((network(x) - x.flip(1)).square().mean())
    loop.finish()
    return network


class TestLoop:
    def test_a_killed_run_continues_as_if_it_had_not_been_killed(self, tmp_path: Path) -> None:
        whole = trained(toy_run(tmp_path / "whole"))
        trained(toy_run(tmp_path / "killed", save_every=0), until=5)
        continued = toy_run(tmp_path / "killed")
        network = trained(continued)
        for name, wanted in whole.state_dict().items():
            assert torch.equal(network.state_dict()[name], wanted)
        log = (continued.work / "log.jsonl").read_text().splitlines()
        assert json.loads(log[-1])["resumed_at"] == 5

    def test_it_stops_when_it_is_time_with_a_checkpoint(self, tmp_path: Path) -> None:
        with pytest.raises(Stopped):
            trained(toy_run(tmp_path, stop_after=0.0), steps=30)
        assert torch.load(tmp_path / "work" / "toy-checkpoint.pt")["step"] == 10

    def test_minutes_become_a_number_of_steps(self, tmp_path: Path) -> None:
        run = toy_run(tmp_path)
        network = nn.Linear(3, 3)
        loop = Loop(run, "toy", network, Schedule(0, minutes=0.004, rate=0.1))
        steps = 0
        for _ in loop:
            loop.descend(network(torch.randn(5, 3)).square().mean())
            steps += 1
        assert steps == loop.steps > 60

    def test_a_run_killed_before_it_knows_its_steps_continues(self, tmp_path: Path) -> None:
        run = toy_run(tmp_path, save_every=0)
        network = nn.Linear(3, 3)
        for until in (30, math.inf):
            loop = Loop(run, "toy", network, Schedule(0, minutes=0.004, rate=0.1))
            for step in loop:
                if step == until:
                    break
                loop.descend(network(torch.randn(5, 3)).square().mean())
        assert loop.step == loop.steps > 90

    def test_the_rate_warms_up_and_falls_to_two_percent(self) -> None:
        schedule = Schedule(1000, 0, rate=1.0, warm=100)
        assert schedule.rate_at(0, 1000) == pytest.approx(0.01)
        assert schedule.rate_at(100, 1000) == pytest.approx(0.99, abs=0.02)
        assert schedule.rate_at(1000, 1000) == pytest.approx(0.02)
        assert schedule.rate_at(500, 0) == 1.0  # the number of steps is not known yet


@pytest.fixture(scope="module")
def trained_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("video")
    export = ["--export", str(folder / "export"), "--export-every", "0"]
    main([*TOY, "--out", str(folder / "out"), "--work", str(folder / "work"), *export])
    return folder


class TestTheWholeTraining:
    def test_the_result_is_a_stock_pipeline_in_float16(self, trained_model: Path) -> None:
        pipe = WanPipeline.from_pretrained(trained_model / "out")
        call = {"height": 16, "width": 16, "num_frames": 5, "num_inference_steps": 2}
        clip = pipe("a red robot on snow", **call, output_type="np").frames
        assert clip.shape == (1, 5, 16, 16, 3)
        assert np.isfinite(clip).all()
        assert min(pipe.vae.config.latents_std) > 0
        for part in ("vae", "transformer", "text_encoder"):
            (weights,) = (trained_model / "out" / part).glob("*.safetensors")
            assert {tensor.dtype for tensor in load_file(weights).values()} == {torch.float16}

    def test_grainspec_loads_it(self, trained_model: Path) -> None:
        folder, family = find_model(str(trained_model / "out"), Path())
        assert not family.review(folder)
        backbone = family.describe(folder)
        assert (backbone.frames_per_latent, backbone.pixels_per_latent, backbone.patch) == (4, 4, 2)
        assert backbone.native_size == Size(width=16, height=16)
        checkpoint = family.load(folder, LoadOptions(device="cpu"))
        frames = np.zeros((5, 16, 16, 3), np.uint8)
        latents = checkpoint.encode_clip(frames)
        assert latents.shape == (2, 3, 4, 4)
        assert checkpoint.decode_clip(latents).shape == frames.shape

    def test_finished_stages_are_skipped(self, trained_model: Path) -> None:
        log = trained_model / "work" / "log.jsonl"
        before = len(log.read_text().splitlines())
        (trained_model / "out" / "model_index.json").unlink()
        main([*TOY, "--out", str(trained_model / "out"), "--work", str(trained_model / "work")])
        stages = [json.loads(line)["stage"] for line in log.read_text().splitlines()[before:]]
        assert set(stages) == {"clips", "vae", "saved"}

    def test_what_must_come_back_is_exported(self, trained_model: Path) -> None:
        names = {path.name for path in (trained_model / "export").iterdir()}
        assert names == {
            *("vae-frames.safetensors", "vae-clips.safetensors", "flow.safetensors"),
            *("log.jsonl", "reconstructions.png", "samples.png"),
        }

    def test_held_out_quality_is_logged(self, trained_model: Path) -> None:
        lines = map(json.loads, (trained_model / "work" / "log.jsonl").read_text().splitlines())
        measured = [line for line in lines if line["stage"] == "vae clips" and "later" in line]
        assert measured
        assert all(math.isfinite(line["figures"]) for line in measured)
        assert {"first", "later", "worst", "figures", "kl", "steps_per_second"} <= measured[
            0
        ].keys()
