"""The memory of Wan: estimates against what torch holds, and what reduces it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel, WanVACETransformer3DModel
from held import held
from torch import nn
from wan import VARIANTS, WanVariant, spec_of

from grainspec import load
from grainspec_runtime.backbones.families.wan.configs import WanConfigs
from grainspec_runtime.backbones.families.wan.memory import WanMemory
from grainspec_runtime.backbones.registry import find_model, load_checkpoint
from grainspec_runtime.memory.estimate import Needs, memory_warnings, needs_of
from grainspec_runtime.memory.savings import of_vae, of_weights
from grainspec_runtime.memory.stages import largest_stage, weights_at
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.prepare import prepare

KEPT = ("time_embedder", "scale_shift_table", "norm1", "norm2", "norm3")
"""Parts of the transformers that stay in float32."""


def estimates(network: Any = None, vae: Any = None, **settings: Any) -> WanMemory:
    """The estimates for networks."""
    index = settings.pop("index", {})
    given = {"transformer": network, "vae": vae}
    parts = {part: json.loads(it.to_json_string()) if it else {} for part, it in given.items()}
    return WanMemory(WanConfigs(parts, {}, index), {}, **{"itemsize": 4, **settings})


TRANSFORMERS = {
    "1.3B": {"num_attention_heads": 4, "ffn_dim": 1493},
    "14B": {"num_attention_heads": 4, "ffn_dim": 691},
}
"""Feed-forwards as wide as those of the published sizes, relative to the transformer."""


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", TRANSFORMERS)
@pytest.mark.parametrize("kind", ["", "by token", "vace"])
@torch.no_grad()
def test_activations_of_the_transformer(kind: str, size: str, dtype: torch.dtype) -> None:
    settings: dict[str, Any] = {
        "attention_head_dim": 64,
        "text_dim": 32,
        "num_layers": 2,
        **TRANSFORMERS[size],
    }
    vace = {"vace_layers": [0, 1], "vace_in_channels": 96} if kind == "vace" else {}
    build = WanVACETransformer3DModel if vace else WanTransformer3DModel
    network = build(**settings, **vace)
    for name, parameter in network.named_parameters():
        if not any(part in name for part in KEPT):
            parameter.data = parameter.data.to(dtype)
    latents = torch.randn(1, 16, 3, 64, 64, dtype=dtype)
    by_token = kind == "by token"
    timestep = torch.full((1, 3 * 32 * 32) if by_token else (1,), 500.0)
    inputs = {"control_hidden_states": torch.randn(1, 96, 3, 64, 64, dtype=dtype)} if vace else {}
    text = torch.randn(1, 512, 32, dtype=dtype)
    found = held(
        lambda: network(latents, timestep, encoder_hidden_states=text, **inputs, return_dict=False)
    )
    index = {
        "expand_timesteps": by_token,
        "_class_name": "WanVACEPipeline" if vace else "WanPipeline",
    }
    memory = estimates(network, itemsize=dtype.itemsize, index=index)
    guess = 3 * memory.denoiser_frame(passes=2, height=512, width=512)
    assert guess == pytest.approx(found, rel=0.08 if vace else 0.05)


VAES: dict[str, dict[str, Any]] = {
    "2.1": {"base_dim": 16},
    "2.1, wider": {"base_dim": 32},
    "2.1, fewer blocks": {"base_dim": 16, "num_res_blocks": 1},
    "TI2V-5B": {
        "base_dim": 16,
        "decoder_base_dim": 24,
        "is_residual": True,
        "patch_size": 2,
        "in_channels": 12,
        "out_channels": 12,
        "scale_factor_spatial": 16,
    },
}


@pytest.mark.parametrize("name", VAES)
@torch.no_grad()
def test_activations_of_the_vae(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the copies of a CPU's convolutions, which a GPU does not make."""
    monkeypatch.setattr(nn.Conv3d, "_conv_forward", without_copies)
    monkeypatch.setattr(nn.Conv2d, "_conv_forward", without_copies)
    vae = AutoencoderKLWan(**{"num_res_blocks": 2, **VAES[name]})
    scale, side, frames = vae.config.scale_factor_spatial, 128, 9
    memory = estimates(vae=vae)
    clip = frames * memory.clip_frame(height=side, width=side)
    guess = memory.vae_frame(height=side, width=side) + clip // 2
    latents = torch.randn(1, 16, 3, side // scale, side // scale)
    assert guess == pytest.approx(held(lambda: vae.decode(latents)), rel=0.05)
    pixels = torch.randn(1, 3, frames, side, side)
    assert held(lambda: vae.encode(pixels)) < guess * 1.02


def without_copies(conv: Any, x: torch.Tensor, *_: Any) -> torch.Tensor:
    """A tensor of a convolution's result, without computing it."""
    sides = [
        (size + 2 * padding - kernel) // stride + 1
        for size, kernel, stride, padding in zip(
            x.shape[2:], conv.kernel_size, conv.stride, conv.padding, strict=True
        )
    ]
    return x.new_zeros(len(x), conv.out_channels, *sides)


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_are_counted_before_loading(
    wan_folder: Callable[[WanVariant], Path], variant: WanVariant
) -> None:
    model, family = find_model(str(wan_folder(variant)), Path())
    before = family.memory(model, itemsize=4)
    after = load_checkpoint(str(wan_folder(variant)), Path(), LoadOptions(device="cpu")).memory
    assert before.weights() == after.weights()
    size = {"height": 128, "width": 128}
    assert before.denoiser_frame(passes=2, **size) == after.denoiser_frame(passes=1, **size)
    assert before.vae_frame(**size) == after.vae_frame(**size)
    assert 0 < before.denoiser_group() <= before.denoiser_weights()


TRUE_SIZE = {
    "transformer": {"num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40},
    "vae": {"base_dim": 96},
    "text_encoder": {},
}
"""Wan 2.2 A14B, in GB of bfloat16, and the VAE in float32."""
WEIGHTS = {"transformer": 28, "transformer_2": 28, "vae": 0.5, "text_encoder": 11.4}


@pytest.fixture
def a14b() -> WanMemory:
    parts = {**TRUE_SIZE, "transformer_2": TRUE_SIZE["transformer"]}
    weights = {part: int(size * 1e9) for part, size in WEIGHTS.items()}
    return WanMemory(WanConfigs(parts, {}, {}), weights, itemsize=2)


def test_weights_on_the_device_at_each_stage(a14b: WanMemory) -> None:
    def at(stage: Any, offload: Any = None) -> float:
        return weights_at(stage, a14b, offload) / 1e9

    assert at("text") == pytest.approx(67.9)
    assert at("denoiser") == at("vae") == pytest.approx(56.5)  # the text encoder is gone
    assert at("denoiser", "model") == pytest.approx(28)  # one of two experts
    assert at("text", "model") == at("text", "group") == pytest.approx(11.4)
    assert at("vae", "group") == pytest.approx(0.5)
    assert 1 < at("denoiser", "group") < 2  # two of 40 blocks
    assert at("denoiser", "sequential") == 0


def test_an_edit_of_81_frames_fits_a_card_with_group_offload(a14b: WanMemory) -> None:
    size = {"height": 480, "width": 832}
    denoiser = 21 * a14b.denoiser_frame(passes=2, **size)
    vae = a14b.vae_frame(**size) + 81 * a14b.clip_frame(**size)
    assert 3e9 < denoiser < 4e9
    assert 7e9 < vae < 10e9
    stage = largest_stage(a14b, "group", {"denoiser": denoiser, "vae": vae})
    assert sum(stage.values()) < 16e9
    assert sum(largest_stage(a14b, "model", {"denoiser": denoiser}).values()) > 24e9


def test_what_saves_weights(a14b: WanMemory) -> None:
    def ways(offload: Any = None, **options: Any) -> str:
        loading = LoadOptions(offload=offload)
        return " ".join(map(str, of_weights(a14b, loading, **{"of_vae": False, **options})))

    assert "`--offload model` saves about 28.5 GB" in ways(full=False)
    assert "`--offload group` (slower) saves about 55" in ways(full=False)
    assert "`--dtype bfloat16` saves about 28.2 GB" in ways(full=True)
    saved = {
        s.how: s.size
        for s in of_weights(a14b, LoadOptions(offload="group"), of_vae=False, full=False)
    }
    assert saved["`--offload model`"] < 0
    assert saved["`--offload sequential` (slow)"] > 1e9
    assert "group" not in ways(of_vae=True, full=False)


def test_a_run_that_does_not_fit(wan_folder: Callable[[WanVariant], Path], tmp_path: Path) -> None:
    prepared = prepare(load(spec_of(wan_folder("2.1"), tmp_path)), tmp_path)
    needs = needs_of(prepared, LoadOptions(device="cpu"))
    assert set(needs.main_parts) >= {"process", "weights", "activations", "frames"}
    assert "latents of the inversion" not in needs.main_parts
    low = replace(needs, main_free=1000)
    [found] = memory_warnings(prepared, low, LoadOptions(device="cpu"))
    assert found.code == "G518"
    assert "9 frames of 128x128" in found.message
    assert "`video { size 96x96 }`" in found.cure
    assert "--vae-slicing" not in found.cure  # it slices batches, and a clip is one
    gpu = Needs("cuda:0", {"weights": 10**9, "activations": 1}, {"frames": 5}, 10**8, 10**10)
    [found] = memory_warnings(prepared, gpu, LoadOptions(offload="model"))
    assert "--offload model" not in found.cure
    plan, memory = prepared.plan, prepared.model.family.memory(prepared.model.folder, itemsize=4)
    assert [s.how for s in of_vae(plan, memory, LoadOptions()) if s.size > 0] == [
        "`video { size 96x96 }`"
    ]
