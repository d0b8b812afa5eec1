"""Stable Diffusion 1.5, 2.1 and XL by one adapter, against diffusers' own pipelines."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from clips import EXAMPLES
from tiny_models import save_sdxl
from tiny_runs import FRAMES, STEPS, TARGET, loaded, noise, plan_for, sampled, stock

from grainspec import GrainError, parse
from grainspec_runtime import Editor
from grainspec_runtime.backbones.registry import describe
from grainspec_runtime.backbones.unets.fit import check_fit
from grainspec_runtime.backbones.unets.install import installed
from grainspec_runtime.backbones.unets.prompts import encode_target, repeated
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.invert import invert


@pytest.mark.parametrize("negative", ["", "ugly"])
def test_without_strengths_each_frame_alone_is_the_stock_pipeline(
    tiny_model: Path, negative: str
) -> None:
    settings = "cross 0 self 0 until 100% frames each norm each phrases in_context"
    plan = plan_for(tiny_model, settings)
    assert plan.edited_FHW.all()  # nothing is put back on the way
    mine = sampled(loaded(tiny_model), plan, noise(), negative=negative)
    theirs = stock(tiny_model)(
        TARGET,
        negative_prompt=negative or None,
        latents=noise(),
        num_images_per_prompt=FRAMES,
        num_inference_steps=STEPS,
        guidance_scale=5.0,
        height=64,
        width=64,
        output_type="latent",
    ).images
    torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)
    strong = sampled(loaded(tiny_model), plan_for(tiny_model), noise(), negative=negative)
    assert not torch.allclose(mine, strong, atol=1e-3)


def test_one_frame_looks_at_itself_in_every_scope(tiny_model: Path) -> None:
    checkpoint = loaded(tiny_model)
    results = [
        sampled(checkpoint, plan_for(tiny_model, f"frames {scope} until 100%", 1), noise(1))
        for scope in ("each", "full", "first_last", "sparse_causal")
    ]
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], atol=1e-5, rtol=1e-5)


def test_inversion_and_sampling_with_the_same_words_lead_back(tiny_model: Path) -> None:
    """Without guidance, each step back undoes the one there.

    The network is made smooth, as trained ones are: a random one gives other noise at every point.
    """
    checkpoint, steps = loaded(tiny_model), 50
    checkpoint.unet.conv_out.weight.data *= 0.1
    checkpoint.unet.conv_out.bias.data += 0.8
    latents = noise()
    control = FoldedAttention(FRAMES)
    checkpoint.scheduler.set_timesteps(steps)
    scheduler = checkpoint.scheduler
    there = invert(Denoiser(checkpoint), latents, control, prompt=TARGET, scheduler=scheduler)
    words = repeated(
        checkpoint.condition([checkpoint.encode_prompt(TARGET)], latents), len(latents)
    )
    x = there[-1]
    with torch.inference_mode(), installed(checkpoint.unet, control):
        for t in checkpoint.scheduler.timesteps:
            output = checkpoint.unet(x, t, **words).sample
            x = checkpoint.scheduler.step(output, t, x).prev_sample
    assert float((there[-1] - latents).norm() / latents.norm()) > 0.3
    assert float((x - latents).norm() / latents.norm()) < 0.02


def test_a_clip_goes_from_folder_to_edited_frames(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "clips", tmp_path / "clips")
    spec = parse(
        f'grain 1 video "clips/two_men.mp4" {{ frames 0..1 size 128x64 }} model "{tiny_model}" '
        'target "a green robot on grass" region r = box(0%, 30%, 50%, 70%) '
        'edit r -> "green robot" attention { resize nearest } sampler ddim { steps 2 }'
    )
    result = Editor(str(tiny_model), device="cpu").run(spec, base=tmp_path)
    assert result.edited.shape == (2, 64, 128, 3)
    assert result.warnings == ()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_comes_near_to_whole(tiny_model: Path, dtype: torch.dtype) -> None:
    plan = plan_for(tiny_model)
    whole = sampled(loaded(tiny_model), plan, noise(), guidance=2)
    half = sampled(loaded(tiny_model, dtype=dtype), plan, noise(), guidance=2)
    assert half.dtype == torch.float32  # the sampler's own
    assert float((half - whole).norm() / whole.norm()) < 0.05


def test_sdxl_is_modulated_where_it_has_attention(tiny_sdxl: Path) -> None:
    facts = describe(str(tiny_sdxl), Path())
    assert facts.grids(128, 64) == [(8, 16), (4, 8), (2, 4)]
    assert facts.attended_levels == (1, 2)
    assert [level.modulated for level in plan_for(tiny_sdxl).levels] == [False, True, True]
    assert [level.modulated for level in plan_for(tiny_sdxl, "levels 2").levels] == [0, 0, 1]
    with pytest.raises(GrainError, match="level 0 of .* has no attention") as raised:
        plan_for(tiny_sdxl, "levels 0")
    assert "`levels 1 2`" in raised.value.diagnostics[0].cure
    with pytest.raises(GrainError, match="has no level 3"):
        plan_for(tiny_sdxl, "levels 3")


def test_sdxls_true_sizes_are_read_from_its_configuration(tiny_sdxl: Path, tmp_path: Path) -> None:
    model = edited(tiny_sdxl, tmp_path, "unet/config.json", sample_size=128)
    facts = describe(str(model), Path())
    assert (facts.native_size.width, facts.native_size.height) == (1024, 1024)
    assert facts.grids(1024, 1024) == [(128, 128), (64, 64), (32, 32)]


def test_levels_with_attention_in_the_middle_alone(tiny_sd: Path) -> None:
    """The coarsest level of 1.5 has plain blocks, but the middle stands there."""
    assert describe(str(tiny_sd), Path()).attended_levels == (0, 1, 2, 3)


def test_a_phrase_is_isolated_in_both_of_sdxls_encoders(tiny_sdxl: Path) -> None:
    checkpoint, plan = loaded(tiny_sdxl), plan_for(tiny_sdxl)
    pipe = checkpoint.pipe
    found = encode_target(pipe, plan, device=checkpoint.device)
    whole = checkpoint.encode_prompt(TARGET)
    assert torch.equal(found.pooled, whole.pooled)
    (tokens,) = plan.edits[0].tokens
    assert len(tokens) == 2
    widths = 0
    for tokenizer, encoder in (
        (pipe.tokenizer, pipe.text_encoder),
        (pipe.tokenizer_2, pipe.text_encoder_2),
    ):
        ids = tokenizer("green robot", padding="max_length", return_tensors="pt").input_ids
        with torch.inference_mode():
            states = encoder(ids, output_hidden_states=True).hidden_states[-2]
        width = states.shape[-1]
        here = found.words[0, list(tokens), widths : widths + width]
        torch.testing.assert_close(here, states[0, 1:3])
        assert not torch.allclose(here, whole.words[0, list(tokens), widths : widths + width])
        widths += width
    assert widths == found.words.shape[-1] == 40
    rest = [i for i in range(48) if not plan.words_ET[:, i].any()]
    assert torch.equal(found.words[0, rest], whole.words[0, rest])


def test_an_empty_prompt_is_zeros_where_the_model_was_trained_so(
    tiny_sdxl: Path, tiny_sd: Path, tmp_path: Path
) -> None:
    empty = loaded(tiny_sdxl).encode_prompt("")
    assert not empty.words.any()
    assert not empty.pooled.any()
    other = save_sdxl(tmp_path / "other", force_zeros_for_empty_prompt=False)
    empty = loaded(other).encode_prompt("")
    assert empty.words.any()
    assert empty.pooled.any()
    assert loaded(tiny_sd).encode_prompt("").words.any()
    assert loaded(tiny_sd).encode_prompt("").pooled is None


def test_sdxls_vae_keeps_its_precision(tiny_sdxl: Path, tiny_sd: Path) -> None:
    half = loaded(tiny_sdxl, dtype=torch.float16)
    assert (half.unet.dtype, half.vae.dtype) == (torch.float16, torch.float32)
    latents = half.encode_frames(torch.zeros(1, 3, 64, 64))
    assert latents.dtype == torch.float16
    assert half.decode_latents(latents).dtype == torch.float32
    assert loaded(tiny_sdxl, dtype=torch.bfloat16).vae.dtype == torch.bfloat16
    assert loaded(tiny_sd, dtype=torch.float16).vae.dtype == torch.float16


def test_latents_are_shifted_and_scaled_by_channel_where_the_vae_says_so(
    tiny_sdxl: Path, tmp_path: Path
) -> None:
    mean, std = [0.1, 0.2, 0.3, 0.4], [1.0, 2.0, 3.0, 4.0]
    model = edited(tiny_sdxl, tmp_path, "vae/config.json", latents_mean=mean, latents_std=std)
    one, other = loaded(tiny_sdxl), loaded(model)
    frames = torch.linspace(-1, 1, 3 * 64 * 64).view(1, 3, 64, 64)
    plain, scaled = one.encode_frames(frames), other.encode_frames(frames)
    shift = torch.tensor(mean).view(1, 4, 1, 1)
    expected = (plain / 0.13025 - shift) / torch.tensor(std).view(1, 4, 1, 1) * 0.13025
    torch.testing.assert_close(scaled, expected)
    torch.testing.assert_close(other.decode_latents(scaled), one.decode_latents(plain))


def edited(model: Path, to: Path, file: str, **changes: Any) -> Path:
    """A copy of a model with some values of one of its configurations changed; None: taken out."""
    copy = Path(shutil.copytree(model, to / "model"))
    values = json.loads((copy / file).read_text())
    values = {key: value for key, value in (values | changes).items() if value is not None}
    (copy / file).write_text(json.dumps(values))
    return copy


FLUX = ["diffusers", "FluxTransformer2DModel"]
MISFITS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "pipeline": (
        "model_index.json",
        {"_class_name": "StableDiffusion3Pipeline"},
        "G504",
        "is a StableDiffusion3Pipeline; this release supports AnimateDiffPipeline, Stable",
    ),
    "denoiser": ("model_index.json", {"unet": FLUX}, "G504", "the unet of .* a FluxTransformer2D"),
    "no tokenizer": (
        "model_index.json",
        {"tokenizer_2": None},
        "G504",
        "tokenizer_2 .* is missing",
    ),
    "no encoder": (
        "model_index.json",
        {"text_encoder": None},
        "G504",
        "text_encoder .* is missing",
    ),
    "block": (
        "unet/config.json",
        {"mid_block_type": "UNetMidBlock2DSimpleCrossAttn"},
        "G504",
        "has a UNetMidBlock2DSimpleCrossAttn; this release supports CrossAttnDownBlock2D",
    ),
    "noise": (
        "scheduler/scheduler_config.json",
        {"_class_name": "EDMDPMSolverMultistepScheduler"},
        "G504",
        "EDMDPMSolver",
    ),
    "window": ("text_encoder/config.json", {"max_position_embeddings": 40}, "G507", "48 .* 40"),
    "width": ("unet/config.json", {"cross_attention_dim": 99}, "G507", "width 99, .* outputs 40"),
    "channels": ("unet/config.json", {"in_channels": 9}, "G507", "9 channels"),
    "refiner": (
        "unet/config.json",
        {"projection_class_embeddings_input_dim": 4 * 5 + 12},
        "G507",
        "expects 32 additional values, .* have 36",
    ),
    "addition": ("unet/config.json", {"addition_embed_type": "image"}, "G504", "the kind image"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_models_that_cannot_run_are_told_before_they_load(
    tiny_sdxl: Path, tmp_path: Path, name: str
) -> None:
    file, changes, code, message = MISFITS[name]
    model = edited(tiny_sdxl, tmp_path, file, **changes)
    with pytest.raises(GrainError, match=message) as raised:
        describe(str(model), Path())
    assert raised.value.diagnostics[0].code == code
    assert raised.value.diagnostics[0].cure


TRUE = {
    "1.5": ({"cross_attention_dim": 768}, {"text_encoder": {"hidden_size": 768}}),
    "2.1": (
        {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20]},
        {"text_encoder": {"hidden_size": 1024, "projection_dim": 512}},
    ),
    "XL": (
        {
            "cross_attention_dim": 2048,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
        {
            "text_encoder": {"hidden_size": 768, "projection_dim": 768},
            "text_encoder_2": {"hidden_size": 1280, "projection_dim": 1280},
        },
    ),
}
"""What the published checkpoints say of themselves, as far as it matters to one another."""


@pytest.mark.parametrize("name", TRUE)
def test_the_published_models_fit_together(name: str) -> None:
    unet, encoders = TRUE[name]
    scheduler = {"_class_name": "EulerDiscreteScheduler", "prediction_type": "epsilon"}
    configs = {"unet": unet, "vae": {"latent_channels": 4}, **encoders}
    check_fit(name, configs, scheduler)
    with pytest.raises(GrainError, match="G507"):
        check_fit(name, {**configs, "unet": {**unet, "cross_attention_dim": 1280}}, scheduler)


def test_tokenizers_that_disagree_are_refused(tiny_sdxl: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(tiny_sdxl, tmp_path / "model"))
    file = model / "tokenizer_2" / "tokenizer.json"
    rules = json.loads(file.read_text())
    rules["model"]["merges"] = rules["model"]["merges"][:3]
    file.write_text(json.dumps(rules))
    with pytest.raises(GrainError, match="G504.*different tokens"):
        describe(str(model), Path()).tokenize("a green robot")


def test_words_that_are_other_tokens_by_themselves_are_encoded_within_the_prompt(
    tiny_sd: Path,
) -> None:
    checkpoint, plan = loaded(tiny_sd), plan_for(tiny_sd)
    plan = replace(plan, attention=plan.attention.replaced({}, phrases="isolated"))
    whole = checkpoint.encode_prompt(plan.target).words
    assert not torch.equal(checkpoint.encode_target(plan).words, whole)
    more = [  # as if the last token were split in two within the prompt
        replace(edit, tokens=tuple((*tokens, tokens[-1] + 1) for tokens in edit.tokens))
        for edit in plan.edits
    ]
    assert torch.equal(checkpoint.encode_target(replace(plan, edits=tuple(more))).words, whole)
