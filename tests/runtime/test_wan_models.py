"""Loaded checkpoints of Wan, compared with diffusers' own pipelines.

Dimensions: P passes, F latent frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

import gc
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from wan import WanVariant
from wan_stock import (
    NEGATIVE,
    STEPS,
    TARGET,
    Calls,
    assert_same_calls,
    clip,
    embeds_of,
    loaded,
    predicted,
    run_stock,
    stock,
    with_timesteps,
)

from grainspec.diagnostics import GrainError
from grainspec.model.spec import EditSpec, Sampler
from grainspec_runtime.backbones.families.wan import versions
from grainspec_runtime.backbones.registry import find_model, load_checkpoint
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.processes.smoother import Smoother, mean_frame


def test_predictions_are_those_of_the_stock_pipeline(
    variant: WanVariant, wan_folders: dict[WanVariant, Path]
) -> None:
    pipe, calls = stock(wan_folders[variant])
    frames = clip()
    image = {"image": Image.fromarray(frames[0])} if variant == "i2v" else {}
    run_stock(pipe, **image)
    checkpoint = with_timesteps(loaded(wan_folders[variant]))
    checkpoint.begin_clip(frames)
    assert_same_calls(checkpoint, calls)


def test_an_image_as_the_first_latent(wan_folders: dict[WanVariant, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(wan_folders["ti2v"], tmp_path / "model")
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace('"WanPipeline"', '"WanImageToVideoPipeline"'))
    pipe, calls = stock(folder)
    frames = clip()
    run_stock(pipe, image=Image.fromarray(frames[0]))
    checkpoint = with_timesteps(loaded(folder))
    source = checkpoint.encode_clip(frames)
    checkpoint.begin_clip(frames)
    for step, t in enumerate(checkpoint.pipe.scheduler.timesteps):
        given = calls.received[2 * step]
        x = given["hidden_states"][0].transpose(0, 1)
        torch.testing.assert_close(x[0], source[0])  # the clean image
        found = predicted(checkpoint, x, t)[3:]
        assert torch.equal(found[1:], calls.outputs[2 * step][0].transpose(0, 1)[1:])
    noise, sigma = torch.randn_like(source), 0.9
    mixed = (1 - sigma) * source + sigma * noise
    first = predicted(checkpoint, mixed, torch.tensor(900))[0]
    torch.testing.assert_close(first, (noise - source)[0], atol=1e-4, rtol=1e-4)


def test_in_bfloat16_the_same_parts_stay_in_float32(
    variant: WanVariant, wan_folders: dict[WanVariant, Path]
) -> None:
    pipe, _ = stock(wan_folders[variant], dtype=torch.bfloat16)
    checkpoint = loaded(wan_folders[variant], dtype=torch.bfloat16)
    for name in ("transformer", "transformer_2"):
        if getattr(pipe, name, None) is None:
            continue
        expected, own = (
            {key: it.dtype for key, it in getattr(of, name).named_parameters()}
            for of in (pipe, checkpoint.pipe)
        )
        assert own == expected
        assert set(own.values()) == {torch.float32, torch.bfloat16}
    encoder = checkpoint.text._network
    expected = {key: it.dtype for key, it in pipe.text_encoder.named_parameters()}
    assert {key: it.dtype for key, it in encoder.named_parameters()} == expected
    assert {it.dtype for it in checkpoint.pipe.vae.parameters()} == {torch.float32}
    assert checkpoint.dtype == torch.bfloat16
    words = checkpoint.encode_prompt(TARGET).words
    assert words.dtype == torch.bfloat16
    assert torch.equal(words, embeds_of(pipe, TARGET))


@pytest.mark.parametrize("variant", ["2.1", "2.2", "ti2v"])
def test_in_bfloat16_predictions_are_those_of_the_stock_pipeline(
    variant: WanVariant, wan_folders: dict[WanVariant, Path]
) -> None:
    pipe, calls = stock(wan_folders[variant], dtype=torch.bfloat16)
    run_stock(pipe)
    checkpoint = with_timesteps(loaded(wan_folders[variant], dtype=torch.bfloat16))
    assert_same_calls(checkpoint, calls)


def test_prompts_are_those_of_the_stock_pipeline(
    variant: WanVariant, wan_folders: dict[WanVariant, Path]
) -> None:
    pipe, _ = stock(wan_folders[variant])
    checkpoint = loaded(wan_folders[variant])
    for text in (TARGET, "", "  a &amp;  dog\n on   grass", "robot " * 600):
        encoded = checkpoint.encode_prompt(text)
        assert torch.equal(encoded.words, embeds_of(pipe, text))
        assert bool((encoded.words[:, encoded.length :] == 0).all())
        assert bool(encoded.words[:, encoded.length - 1].any())


def test_the_text_encoder_is_in_memory_only_while_it_encodes(
    wan_folders: dict[WanVariant, Path],
) -> None:
    checkpoint = loaded(wan_folders["2.1"])
    first = checkpoint.encode_prompt(TARGET)
    weight = weakref.ref(next(checkpoint.text._network.parameters()))
    assert checkpoint.text.is_loaded
    x = torch.randn(3, 16, 4, 8)
    predicted(checkpoint, x, torch.tensor(900))
    gc.collect()
    assert weight() is None
    assert not checkpoint.text.is_loaded
    assert "text_encoder" not in {
        name for name, part in checkpoint.pipe.components.items() if part is not None
    }
    assert torch.equal(checkpoint.encode_prompt(TARGET).words, first.words)
    assert not checkpoint.text.is_loaded  # what was encoded before is kept
    again = checkpoint.encode_prompt("a dog")
    assert checkpoint.text.is_loaded
    assert torch.equal(loaded(wan_folders["2.1"]).encode_prompt("a dog").words, again.words)


def test_few_embeddings_are_kept(wan_folders: dict[WanVariant, Path]) -> None:
    checkpoint = loaded(wan_folders["2.1"])
    for number in range(40):
        checkpoint.encode_prompt("dog " * number)
    assert len(checkpoint.text._kept) == 32
    assert max(map(len, checkpoint.text._kept.values())) == 40


def test_clips_are_encoded_and_decoded_as_the_stock_vae_does(
    variant: WanVariant, wan_folders: dict[WanVariant, Path]
) -> None:
    pipe, _ = stock(wan_folders[variant])
    checkpoint, frames = loaded(wan_folders[variant]), clip()
    video = torch.from_numpy(frames.copy()).float().permute(3, 0, 1, 2)[None] / 127.5 - 1
    config = pipe.vae.config
    mean, deviation = (
        torch.tensor(values).view(1, -1, 1, 1, 1)
        for values in (config.latents_mean, config.latents_std)
    )
    with torch.no_grad():
        expected = (pipe.vae.encode(video).latent_dist.mode() - mean) / deviation
        decoded = pipe.vae.decode(expected * deviation + mean).sample
    latents = checkpoint.encode_clip(frames)
    assert latents.shape == (3, config.z_dim, *expected.shape[-2:])
    torch.testing.assert_close(latents, expected[0].transpose(0, 1), atol=1e-6, rtol=1e-5)
    shown = ((decoded[0].permute(1, 2, 3, 0) + 1) * 127.5).round().to(torch.uint8).numpy()
    found = checkpoint.decode_clip(latents)
    assert found.shape == frames.shape
    assert np.abs(found.astype(int) - shown).max() <= 1  # of a level, by rounding


def test_frames_that_fill_no_latent_are_refused(wan_folders: dict[WanVariant, Path]) -> None:
    with pytest.raises(ValueError, match="1 frame and then 4 at a time, not 8 frames"):
        loaded(wan_folders["2.1"]).encode_clip(clip(8))


def test_the_experts_switch_at_the_boundary(
    wan_folders: dict[WanVariant, Path],
) -> None:
    pipe, calls = stock(wan_folders["2.2"])
    run_stock(pipe)
    checkpoint = loaded(wan_folders["2.2"])
    own = Calls()
    own.watch(checkpoint.pipe)
    pipe.scheduler.set_timesteps(STEPS)
    for t in pipe.scheduler.timesteps:
        predicted(checkpoint, torch.randn(3, 16, 4, 8), t)
    assert own.by == calls.by
    assert set(own.by) == {"transformer", "transformer_2"}
    for t, network in ((875.0, "transformer"), (874.9, "transformer_2")):
        assert checkpoint.experts.at(t) is getattr(checkpoint.pipe, network)
    sampler = Sampler(guidance=4, low_noise_guidance=3)
    assert [checkpoint.guidance_at(sampler, t) for t in (999.0, 875.0, 874.0)] == [4, 4, 3]
    assert checkpoint.guidance_at(Sampler(guidance=4), 100.0) == 4
    assert {name.partition(".")[0] for name, _ in checkpoint.denoiser.named_parameters()} == {
        "transformer",
        "transformer_2",
    }


def test_passes_are_named_for_caches(wan_folders: dict[WanVariant, Path]) -> None:
    checkpoint, names = loaded(wan_folders["2.1"]), []
    context = checkpoint.pipe.transformer.cache_context

    def noted(name: str, **more: Any) -> Any:
        names.append(name)
        return context(name, **more)

    checkpoint.pipe.transformer.cache_context = noted
    x = torch.randn(3, 16, 4, 8)
    predicted(checkpoint, x, torch.tensor(900))
    prompts = [checkpoint.encode_prompt(NEGATIVE), checkpoint.encode_prompt(TARGET)]
    of_target = SimpleNamespace(
        target=TARGET, attention=SimpleNamespace(phrases="in_context"), edits=()
    )
    target: Any = of_target
    prompts[1] = checkpoint.encode_target(target)
    with torch.no_grad():
        checkpoint.predict(
            torch.cat([x, x]), torch.tensor(900), tuple(prompts), range(3), step=0, steps=1
        )
    assert names == ["src_uncond", "src_cond", "uncond", "cond"]


def test_windows_of_a_clip_have_their_own_frames_of_conditions(
    wan_folders: dict[WanVariant, Path],
) -> None:
    checkpoint = loaded(wan_folders["i2v"])
    latents = checkpoint.encode_clip(clip(17))
    checkpoint.begin_clip(clip(17))
    calls = Calls()
    calls.watch(checkpoint.pipe)
    predicted(checkpoint, latents, torch.tensor(900))
    predicted(checkpoint, latents[[0, 3, 4]], torch.tensor(900), frames=[0, 3, 4])
    whole, part = calls.received[0]["hidden_states"], calls.received[2]["hidden_states"]
    assert torch.equal(part, whole[:, :, [0, 3, 4]])
    with pytest.raises(GrainError, match="not those of the clip"):
        predicted(checkpoint, latents[:2], torch.tensor(900), frames=[0, 5])


def test_smoothing_shows_the_model_no_other_image(wan_folders: dict[WanVariant, Path]) -> None:
    checkpoint = loaded(wan_folders["i2v"])
    latents = checkpoint.encode_clip(clip())
    checkpoint.begin_clip(clip())
    shown = checkpoint._inputs._condition.clone()
    smooth = Smoother(checkpoint, mean_frame)(latents + torch.randn_like(latents), 1)
    assert not torch.equal(smooth, latents)
    assert torch.equal(checkpoint._inputs._condition, shown)


@pytest.mark.parametrize("variant", ["2.1", "2.2", "i2v", "vace"])
@pytest.mark.parametrize("offload", ["model", "group"])
def test_parts_that_come_and_go_compute_the_same(
    offload: str, variant: WanVariant, wan_folders: dict[WanVariant, Path]
) -> None:
    def road(**options: Any) -> list[Tensor]:
        checkpoint = loaded(wan_folders[variant], **options)
        latents = checkpoint.encode_clip(clip())
        checkpoint.begin_clip(clip())
        outs = [predicted(checkpoint, latents, torch.tensor(t)) for t in (900, 100, 950)]
        frames = checkpoint.decode_clip(latents)
        more = checkpoint.encode_prompt("a dog").words
        return [latents, *outs, torch.from_numpy(frames), more]

    for one, other in zip(road(offload=offload), road(), strict=True):
        # weights lie elsewhere in memory, so that convolutions may round differently
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_the_vae_is_tiled_where_asked(wan_folders: dict[WanVariant, Path]) -> None:
    vae = loaded(wan_folders["2.1"], vae_slicing=True, vae_tiling=True).pipe.vae
    assert (vae.use_slicing, vae.use_tiling) == (False, True)  # slicing has no effect on a clip
    vae = loaded(wan_folders["2.1"]).pipe.vae
    assert (vae.use_slicing, vae.use_tiling) == (False, False)


def test_options_that_do_not_go_together(
    wan_folders: dict[WanVariant, Path], tiny_sd: Path, tmp_path: Path
) -> None:
    for options in ({"compile": True, "device": "cuda"}, {"device": "cpu"}):
        with pytest.raises(ValueError, match="sequential offload requires a GPU"):
            loaded(wan_folders["2.1"], offload="sequential", **options)
    word: Any = SimpleNamespace(path=tmp_path / "toy.safetensors", word=None)
    with pytest.raises(GrainError, match="no textual inversions"):
        loaded(wan_folders["2.1"], embeddings=[word])
    with pytest.raises(GrainError, match="is for video transformers") as raised:
        load_checkpoint(str(tiny_sd), Path(), LoadOptions(device="cpu", offload="group"))
    assert raised.value.diagnostics[0].code == "G545"


@pytest.mark.parametrize("part", ["transformer", "transformer_2", "vae", "text_encoder"])
def test_missing_weights_are_errors(
    part: str, wan_folders: dict[WanVariant, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(wan_folders["2.2"], tmp_path / "model")
    [file] = (folder / part).glob("*.safetensors")
    tensors = load_file(file)
    name = max(name for name in tensors if name.endswith("weight") and "shared" not in name)
    save_file({key: it for key, it in tensors.items() if key != name}, file, {"format": "pt"})
    with pytest.raises(GrainError, match=f"{part} lacks 1 weights, such as {name}") as raised:
        loaded(folder)
    assert raised.value.diagnostics[0].code == "G502"


@pytest.mark.parametrize(
    ("part", "more"),
    [
        ("transformer", "blocks.2.ffn.net.2.weight"),
        ("vae", "encoder.more.weight"),
        ("text_encoder", "encoder.block.2.layer.0.SelfAttention.q.weight"),
    ],
)
def test_weights_without_a_layer_are_errors(
    part: str, more: str, wan_folders: dict[WanVariant, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(wan_folders["2.1"], tmp_path / "model")
    [file] = (folder / part).glob("*.safetensors")
    save_file({**load_file(file), more: torch.ones(1)}, file, {"format": "pt"})
    with pytest.raises(GrainError, match=f"{part} has 1 weights .* such as {more}") as raised:
        loaded(folder)
    assert raised.value.diagnostics[0].code == "G502"


@pytest.mark.parametrize(
    ("part", "more"),
    [("transformer", "blocks.0.attn2.norm_added_q.weight"), ("text_encoder", "lm_head.weight")],
)
def test_weights_that_are_published_besides_are_left_alone(
    part: str, more: str, wan_folders: dict[WanVariant, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(wan_folders["2.1"], tmp_path / "model")
    [file] = (folder / part).glob("*.safetensors")
    save_file({**load_file(file), more: torch.ones(1)}, file, {"format": "pt"})
    assert loaded(folder).findings == ()


@pytest.mark.parametrize("installed", ["0.32.0", "0.35.2", "0.36.0.dev0", "0.36.0", "1.0"])
def test_an_old_diffusers_is_named(
    installed: str, wan_folders: dict[WanVariant, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = loaded(wan_folders["2.1"])
    monkeypatch.setattr(versions, "version", lambda package: installed)
    if not installed.startswith(("0.32", "0.35")):
        loaded(wan_folders["2.1"])
        return
    model, family = find_model(str(wan_folders["2.1"]), Path())
    plan: Any = None
    attempts: list[Callable[[], object]] = [
        lambda: loaded(wan_folders["2.1"]),
        lambda: family.check(EditSpec.model_construct(), Path(), model),
        lambda: family.apply(plan, checkpoint.pipe, backend="auto", trust_embeds=False),
    ]
    for attempt in attempts:
        with pytest.raises(GrainError, match=f"0.36 or newer, and {installed}") as raised:
            attempt()
        [finding] = raised.value.diagnostics
        assert finding.code == "G529"
        assert finding.cure is not None
        assert "`pip install -U diffusers`" in finding.cure


def test_slicing_of_the_vae_is_said_to_have_no_effect(
    wan_folders: dict[WanVariant, Path],
) -> None:
    (finding,) = loaded(wan_folders["2.1"], vae_slicing=True).findings
    assert finding.code == "G111"
    assert finding.message.startswith("`--vae-slicing` has no effect on")
    assert loaded(wan_folders["2.1"], vae_tiling=True).findings == ()


@pytest.mark.parametrize("where", ["encoder.conv_in.weight", "decoder.conv_in.weight"])
def test_a_vae_that_breaks_down_is_named(where: str, wan_folders: dict[WanVariant, Path]) -> None:
    checkpoint = loaded(wan_folders["2.1"])
    checkpoint.pipe.vae.state_dict()[where].fill_(torch.nan)
    with pytest.raises(GrainError, match="the VAE produced NaN") as raised:
        checkpoint.decode_clip(checkpoint.encode_clip(clip()))
    assert raised.value.diagnostics[0].code == "G505"
