"""LoRAs in Wan's transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from wan import WanVariant
from wan_stock import (
    loaded,
)

from grainspec.diagnostics import GrainError
from grainspec_runtime.models.additions import Lora

RANK = 2


_LAYERS = {
    f"{layer}.{part}": (f"{own}.{letter}", 32, 32)
    for layer, own in (("attn1", "self_attn"), ("attn2", "cross_attn"))
    for part, letter in (("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "o"))
} | {"ffn.net.0.proj": ("ffn.0", 32, 64), "ffn.net.2": ("ffn.2", 64, 32)}
"""The linear layers of a block: Wan's own name, and widths."""


def save_lora(path: Path, style: str, block: int = 0) -> dict[str, Tensor]:
    """Save a LoRA of a block's linear layers; return what it adds to each weight."""
    generator = torch.Generator().manual_seed(block)
    tensors, added = {}, {}
    for layer, (own, width, out) in _LAYERS.items():
        down = 0.3 * torch.randn(RANK, width, generator=generator)
        up = 0.3 * torch.randn(out, RANK, generator=generator)
        added[f"blocks.{block}.{layer}.weight"] = up @ down
        own = f"blocks.{block}.{own}"
        name, a, b = {
            "diffusers": (f"transformer.blocks.{block}.{layer}", "lora_A", "lora_B"),
            "wan": (f"diffusion_model.{own}", "lora_down", "lora_up"),
            "peft": (f"diffusion_model.{own}", "lora_A", "lora_B"),
            "trainer": ("lora_unet_" + own.replace(".", "_"), "lora_down", "lora_up"),
        }[style]
        tensors |= {f"{name}.{a}.weight": down, f"{name}.{b}.weight": up}
        if style == "trainer":
            tensors[f"{name}.alpha"] = torch.tensor(float(RANK))
    save_file(tensors, path)
    return added


@pytest.mark.parametrize("style", ["diffusers", "wan", "peft", "trainer"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_loras_are_fused(style: str, wan_folders: dict[WanVariant, Path], tmp_path: Path) -> None:
    added = save_lora(tmp_path / "one.safetensors", style)
    # diffusers' converter of this trainer's files expects the first blocks
    other = save_lora(tmp_path / "other.safetensors", style, block=0 if style == "trainer" else 1)
    before = loaded(wan_folders["2.1"]).pipe.transformer.state_dict()
    loras = (Lora(tmp_path / "one.safetensors", 0.5), Lora(tmp_path / "other.safetensors", -1.0))
    checkpoint = loaded(wan_folders["2.1"], loras=loras)
    after = checkpoint.pipe.transformer.state_dict()
    assert after.keys() == before.keys()
    for name, weight in before.items():
        expected = weight + 0.5 * added.get(name, 0 * weight) - other.get(name, 0 * weight)
        torch.testing.assert_close(after[name], expected, msg=name)
    assert checkpoint.findings == ()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_loras_of_two_experts(wan_folders: dict[WanVariant, Path], tmp_path: Path) -> None:
    for name in ("high_noise", "LowNoise", "ink"):
        save_lora(tmp_path / f"{name}.safetensors", "wan")
    plain = loaded(wan_folders["2.2"]).pipe
    for name, changed in (
        ("high_noise", {"transformer"}),
        ("LowNoise", {"transformer_2"}),
        ("ink", {"transformer", "transformer_2"}),
    ):
        pipe = loaded(wan_folders["2.2"], loras=[Lora(tmp_path / f"{name}.safetensors")]).pipe
        key = "blocks.0.attn1.to_q.weight"
        assert changed == {
            expert
            for expert in ("transformer", "transformer_2")
            if not torch.equal(
                getattr(pipe, expert).state_dict()[key], getattr(plain, expert).state_dict()[key]
            )
        }


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_lora_in_bfloat16_keeps_the_parts_in_float32(
    wan_folders: dict[WanVariant, Path], tmp_path: Path
) -> None:
    save_lora(tmp_path / "ink.safetensors", "wan")
    dtypes = [
        {
            name: it.dtype
            for name, it in loaded(
                wan_folders["2.1"], dtype=torch.bfloat16, loras=loras
            ).pipe.transformer.named_parameters()
        }
        for loras in ((), (Lora(tmp_path / "ink.safetensors"),))
    ]
    assert dtypes[0] == dtypes[1]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_loras_of_another_model(wan_folders: dict[WanVariant, Path], tmp_path: Path) -> None:
    save_lora(tmp_path / "deep.safetensors", "diffusers", block=7)
    with pytest.raises(GrainError, match="does not fit the model") as raised:
        loaded(wan_folders["2.1"], loras=[Lora(tmp_path / "deep.safetensors")])
    assert raised.value.diagnostics[0].code == "G508"
    assert "size and kind of Wan" in str(raised.value)
