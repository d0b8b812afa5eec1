"""Wan checkpoints, files and specs that are refused or warned of before a model loads."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import save_file
from wan import WanVariant, copy_of, fault_of, spec_of

from grainspec import GrainError, load
from grainspec_runtime.backbones.registry import find_model
from grainspec_runtime.known import known, outlined
from grainspec_runtime.models.additions import Embedding

MISFITS: dict[str, tuple[WanVariant, str, dict[str, Any], str, str]] = {
    "animate": (
        "2.1",
        "model_index.json",
        {"_class_name": "WanAnimatePipeline"},
        "G504",
        "is a WanAnimatePipeline; this release supports",
    ),
    "transformer left out": (
        "2.1",
        "model_index.json",
        {"transformer": [None, None]},
        "G504",
        "the transformer of .* is missing; this release supports WanTransformer3DModel",
    ),
    "other transformer": (
        "2.1",
        "model_index.json",
        {"transformer": ["diffusers", "SkyReelsV2Transformer3DModel"]},
        "G504",
        "is a SkyReelsV2Transformer3DModel",
    ),
    "text width": (
        "2.1",
        "transformer/config.json",
        {"text_dim": 32},
        "G507",
        "expects text embeddings of width 32, but the text encoder outputs 16",
    ),
    "inpainting model": (
        "2.1",
        "transformer/config.json",
        {"in_channels": 36},
        "G507",
        "expects 36 channels, but the VAE outputs 16",
    ),
    "text model as image model": (
        "i2v",
        "transformer/config.json",
        {"in_channels": 16},
        "G507",
        "expects 16 channels, but latents, the image and its mask have 36",
    ),
    "image width": (
        "i2v",
        "transformer/config.json",
        {"image_dim": 16},
        "G507",
        "image's embeddings of width 16, but the image_encoder outputs 24",
    ),
    "no image encoder": (
        "i2v",
        "model_index.json",
        {"image_encoder": [None, None]},
        "G507",
        "image's embeddings of width 24, and there is no image_encoder",
    ),
    "outputs": (
        "2.1",
        "transformer/config.json",
        {"out_channels": 8},
        "G507",
        "predicts 8 channels, but the VAE has 16",
    ),
    "VAE of another size": (
        "2.1",
        "vae/config.json",
        {"scale_factor_spatial": 16},
        "G507",
        "has `scale_factor_spatial` 16, but scales frames by 8",
    ),
    "VAE of other frames": (
        "2.1",
        "vae/config.json",
        {"scale_factor_temporal": 2},
        "G507",
        "but one latent frame stands for 4 frames",
    ),
    "latents' mean": (
        "2.1",
        "vae/config.json",
        {"latents_mean": [0.0] * 4},
        "G507",
        "16 channels, and 4 numbers in `latents_mean`",
    ),
    "one expert of two": (
        "2.2",
        "model_index.json",
        {"transformer_2": [None, None]},
        "G507",
        "`boundary_ratio`, but there is no transformer_2",
    ),
    "no boundary": (
        "2.2",
        "model_index.json",
        {"boundary_ratio": None},
        "G507",
        "two transformers, and model_index.json has no `boundary_ratio`",
    ),
    "experts of two sizes": (
        "2.2",
        "transformer_2/config.json",
        {"num_layers": 1},
        "G507",
        "`num_layers` is 2 in the transformer and 1 in transformer_2",
    ),
    "VACE's channels": (
        "vace",
        "transformer/config.json",
        {"vace_in_channels": 80},
        "G507",
        "control blocks expect 80 channels; a control has 96",
    ),
    "VACE's layers": (
        "vace",
        "transformer/config.json",
        {"vace_layers": [0, 3]},
        "G507",
        r"`vace_layers` is \[0, 3\], and the transformer has 3 layers",
    ),
    "patches of two frames": (
        "2.1",
        "transformer/config.json",
        {"patch_size": [2, 2, 2]},
        "G504",
        "a latent token is 2x2x2 latents",
    ),
    "DDPM": (
        "2.1",
        "scheduler/scheduler_config.json",
        {"use_flow_sigmas": False},
        "G504",
        "does not have flow matching's schedule",
    ),
    "epsilon": (
        "2.1",
        "scheduler/scheduler_config.json",
        {"prediction_type": "epsilon"},
        "G504",
        "prediction type epsilon",
    ),
    "dynamic shift": (
        "vace",
        "scheduler/scheduler_config.json",
        {"use_dynamic_shifting": True},
        "G504",
        "`use_dynamic_shifting`",
    ),
    "shift": (
        "vace",
        "scheduler/scheduler_config.json",
        {"shift": 0},
        "G528",
        "`shift` 0",
    ),
    "claims": (
        "2.1",
        "transformer/config.json",
        {"ffn_dim": 60_000},
        "G528",
        "claims `ffn_dim` 60000, but no side of its weights is longer than",
    ),
    "heads": (
        "2.1",
        "transformer/config.json",
        {"attention_head_dim": 60_000},
        "G528",
        "`attention_head_dim` 60000, but no side of its weights",
    ),
    "layers": (
        "2.1",
        "transformer/config.json",
        {"num_layers": 900},
        "G528",
        "claims 900 layers, but its weights are",
    ),
    "RoPE": (
        "2.1",
        "transformer/config.json",
        {"rope_max_seq_len": 10**9},
        "G528",
        "`rope_max_seq_len` in .* is 1000000000",
    ),
    "fewer layers than weights": (
        "2.1",
        "transformer/config.json",
        {"num_layers": 1},
        "G528",
        "the transformer has `num_layers` 1, but its weights have 2$",
    ),
    "norm left out": (
        "2.1",
        "transformer/config.json",
        {"cross_attn_norm": False},
        "G528",
        "has `cross_attn_norm` false, but its weights have true$",
    ),
    "narrower than weights": (
        "2.1",
        "transformer/config.json",
        {"ffn_dim": 32},
        "G528",
        "has `ffn_dim` 32, but its weights have 64$",
    ),
    "fewer heads than weights": (
        "2.1",
        "transformer/config.json",
        {"num_attention_heads": 1},
        "G528",
        "`num_attention_heads` times `attention_head_dim` 16, but its weights have 32$",
    ),
    "image keys without image weights": (
        "2.1",
        "transformer/config.json",
        {"added_kv_proj_dim": 32},
        "G528",
        "has `added_kv_proj_dim` 32, but its weights have none$",
    ),
    "image keys left out": (
        "i2v",
        "transformer/config.json",
        {"added_kv_proj_dim": None},
        "G528",
        "has `added_kv_proj_dim` none, but its weights have 32$",
    ),
    "control blocks left out": (
        "vace",
        "transformer/config.json",
        {"vace_layers": [0]},
        "G528",
        "numbers in `vace_layers`: 1, but its weights have 2$",
    ),
    "RoPE of no length": (
        "2.1",
        "transformer/config.json",
        {"rope_max_seq_len": 0},
        "G528",
        "`rope_max_seq_len` 0",
    ),
    "epsilon of a norm": (
        "2.1",
        "transformer/config.json",
        {"eps": "x"},
        "G528",
        "the transformer has `eps` 'x'",
    ),
    "epsilon of the text encoder": (
        "2.1",
        "text_encoder/config.json",
        {"layer_norm_epsilon": -1},
        "G528",
        "the text_encoder has `layer_norm_epsilon` -1",
    ),
    "norm of another type": (
        "2.1",
        "transformer/config.json",
        {"cross_attn_norm": "no"},
        "G528",
        "the transformer has `cross_attn_norm` 'no'",
    ),
    "timesteps of another type": (
        "ti2v",
        "model_index.json",
        {"expand_timesteps": "no"},
        "G528",
        "model_index.json has `expand_timesteps` 'no'",
    ),
    "timesteps of TI2V": (
        "2.1",
        "model_index.json",
        {"expand_timesteps": True},
        "G507",
        "as TI2V-5B, whose VAE scales frames by 16; this one scales them by 8",
    ),
    "latents divided by 0": (
        "2.1",
        "vae/config.json",
        {"latents_std": [0.0] * 16},
        "G528",
        "the VAE has 0.0 in `latents_std`",
    ),
    "latents without a number": (
        "2.1",
        "vae/config.json",
        {"latents_std": [float("nan")] * 16},
        "G528",
        "the VAE has nan in `latents_std`",
    ),
    "latents far away": (
        "2.1",
        "vae/config.json",
        {"latents_mean": [1e30] * 16},
        "G528",
        r"the VAE has 1e\+30 in `latents_mean`",
    ),
    "code": (
        "2.1",
        "transformer/config.json",
        {"auto_map": {"AutoModel": "evil.Model"}},
        "G528",
        "names Python code to run",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_told(
    wan_folder: Callable[[WanVariant], Path], tmp_path: Path, name: str
) -> None:
    variant, file, settings, code, words = MISFITS[name]
    fault = fault_of(copy_of(wan_folder(variant), tmp_path, file, **settings), outlined=True)
    assert fault.code == code
    assert re.search(words, fault.message), fault.message
    assert fault.cure


def test_kin_of_wan_are_told_what_to_use(
    wan_folder: Callable[[WanVariant], Path], tmp_path: Path
) -> None:
    for name in ("WanAnimatePipeline", "SkyReelsV2Pipeline", "LucyEditPipeline"):
        model = copy_of(wan_folder("2.1"), tmp_path / name, "model_index.json", _class_name=name)
        cure = fault_of(model).cure
        assert (
            cure
            == 'Use a checkpoint of Wan 2.1 or 2.2: `model "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"`.'
        )
    model = copy_of(wan_folder("2.1"), tmp_path, "model_index.json", _class_name="FluxPipeline")
    assert "Stable Diffusion 1.x, 2.x or XL: `model " in fault_of(model).cure
    assert " or Wan 2.1 or 2.2: `model " in fault_of(model).cure


def test_a_video_to_video_folder_is_read_as_text_to_video(
    wan_folder: Callable[[WanVariant], Path], tmp_path: Path
) -> None:
    settings = {"_class_name": "WanVideoToVideoPipeline"}
    model = copy_of(wan_folder("2.1"), tmp_path, "model_index.json", **settings)
    located, family = find_model(str(model), Path())
    assert family.review(located) == []
    assert family.describe(located).layer_count == 2


UNSUPPORTED = {
    "inject { features 40% }": "`inject` is not supported by Wan 2.1 or 2.2",
    "flow": "`flow` is not supported by Wan 2.1 or 2.2",
    "attention { norm clip }": "`norm clip` is not supported by Wan 2.1 or 2.2",
    "attention { frames each }": "`frames each` is not supported by Wan 2.1 or 2.2",
    "control canny": "`control` is not supported by .* a Wan model without control blocks",
    "sampler { low_noise_guidance 3 }": "`low_noise_guidance` is not supported by .*, a checkpoint with "
    "one expert",
}


@pytest.mark.parametrize("line", UNSUPPORTED)
def test_what_wan_cannot_do_is_told(
    wan_folder: Callable[[WanVariant], Path], tmp_path: Path, line: str
) -> None:
    spec = load(spec_of(wan_folder("2.1"), tmp_path, line))
    with pytest.raises(GrainError) as raised:
        known(spec, tmp_path).check(spec, tmp_path)
    fault = raised.value.diagnostics[0]
    assert fault.code == "G504"
    assert re.search(UNSUPPORTED[line], fault.message), fault.message
    assert fault.cure
    assert fault.span is not None
    assert fault.span.line == 10


def test_two_experts_have_guidance_of_their_own(
    wan_folder: Callable[[WanVariant], Path], tmp_path: Path
) -> None:
    spec = load(spec_of(wan_folder("2.2"), tmp_path, "sampler { low_noise_guidance 3 }"))
    known(spec, tmp_path).check(spec, tmp_path)


def test_vace_has_one_control_without_a_net(
    wan_folder: Callable[[WanVariant], Path], tmp_path: Path
) -> None:
    spec = load(spec_of(wan_folder("vace"), tmp_path, "control canny"))
    known(spec, tmp_path).check(spec, tmp_path)
    other = spec.replaced({}, model=str(wan_folder("2.1")))
    with pytest.raises(GrainError, match="VACE") as raised:
        known(other, tmp_path).check(other, tmp_path)
    assert 'model "Wan-AI/Wan2.1-VACE-1.3B-diffusers"' in raised.value.diagnostics[0].cure


@pytest.mark.parametrize(
    ("variant", "line", "code", "words"),
    [
        ("2.1", "control canny", "G504", "a Wan model without control blocks"),
        ("vace", "control normal", "G546", "was not trained on `control normal`"),
        ("vace", 'control depth { net "x" }', "G546", "follows controls itself"),
        ("vace", "control depth\ncontrol pose", "G546", "cannot be of several kinds"),
        ("demo", "control inpaint", "G546", "`control inpaint` is for VACE"),
    ],
)
def test_controls_are_checked_without_their_networks(
    wan_folder: Callable[[WanVariant], Path],
    tmp_path: Path,
    variant: WanVariant | Literal["demo"],
    line: str,
    code: str,
    words: str,
) -> None:
    model = Path("demo") if variant == "demo" else wan_folder(variant)
    spec = load(spec_of(model, tmp_path, line))
    found = outlined(spec, tmp_path)
    assert found is not None
    with pytest.raises(GrainError, match=words) as raised:
        found.check(spec, tmp_path)
    fault = raised.value.diagnostics[0]
    assert fault.code == code
    assert fault.cure
    assert fault.span is not None


def test_networks_of_controls_are_left_out_of_a_check(
    wan_folder: Callable[[WanVariant], Path], tmp_path: Path
) -> None:
    spec = load(spec_of(wan_folder("vace"), tmp_path, 'control depth { annotator "./nowhere" }'))
    found = outlined(spec, tmp_path)
    assert found is not None
    found.check(spec, tmp_path)
    with pytest.raises(GrainError, match="nowhere"):
        known(spec, tmp_path).check(spec, tmp_path)


def test_a_textual_inversion_is_refused(
    wan_folder: Callable[[WanVariant], Path], tmp_path: Path
) -> None:
    located, family = find_model(str(wan_folder("2.1")), Path())
    with pytest.raises(GrainError, match="G508.*no textual inversions"):
        family.describe(located, [Embedding(tmp_path / "toy.safetensors")])


# --- files of networks alone ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "width", "kind", "checkpoint"),
    [
        ("blocks.0.self_attn.q.weight", 5120, "transformer", "Wan2.1-T2V-14B-Diffusers"),
        ("blocks.0.attn1.to_q.weight", 3072, "transformer", "Wan2.2-TI2V-5B-Diffusers"),
        ("model.diffusion_model.blocks.0.self_attn.q.weight", 1536, "transformer", "Wan2.1-T2V-1"),
        ("decoder.upsamples.0.residual.0.gamma", 0, "VAE", "Wan2.1-T2V-1.3B-Diffusers"),
    ],
)
def test_a_network_alone_is_told(
    tmp_path: Path, name: str, width: int, kind: str, checkpoint: str
) -> None:
    path = tmp_path / "wan.safetensors"
    embedding = name.partition("blocks")[0] + "patch_embedding.weight"
    save_file({name: torch.ones(1), embedding: torch.ones(width, 1, 1, 1, 1)}, path)
    with pytest.raises(GrainError) as raised:
        find_model(str(path), Path())
    fault = raised.value.diagnostics[0]
    assert fault.code == "G527"
    assert f"is a {kind} of Wan alone" in fault.message
    assert f'`model "Wan-AI/{checkpoint}' in fault.cure
