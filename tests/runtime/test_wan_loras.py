"""LoRAs for Wan, and what is said of those that do not fit or are for few steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from wan import WanVariant, spec_of, tiny_wan

from grainspec import GrainError, load, parse
from grainspec.diagnostics import Diagnostic
from grainspec.model.spec import Sampler
from grainspec_runtime.backbones.registry import find_model
from grainspec_runtime.known import known, outlined
from grainspec_runtime.models.additions import Lora


def lora(path: Path, name: str, width: int = 32, rank: int = 2, **metadata: str) -> Lora:
    """A LoRA of one module."""
    down = f"{name}.lora_A.weight" if "lora_unet" not in name else f"{name}.lora_down.weight"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({down: torch.ones(rank, width)}, path, metadata=metadata)
    return Lora(path)


def reviewed(model: Path, *loras: Lora, sampler: str = "") -> list[Diagnostic]:
    """The findings about a model and LoRAs."""
    settings = load_sampler(sampler)
    located, family = find_model(str(model), Path())
    return list(family.review(located, loras, settings))


def load_sampler(text: str) -> Sampler:
    """The sampler of a spec with this statement."""
    lines = ["grain 1", 'video "a.mp4"', 'target "a cat"', "region r = box(0%, 0%, 9%, 9%)"]
    return parse("\n".join([*lines, 'edit r -> "cat"', f"sampler {{ {text} }}"])).sampler


OF_WAN = (
    "transformer.blocks.1.attn1.to_q",
    "diffusion_model.blocks.1.self_attn.q",
    "lora_unet_blocks_1_self_attn_q",
    "blocks.1.cross_attn.q",
)


@pytest.mark.parametrize("name", OF_WAN)
def test_loras_of_wan_are_known_in_every_format(
    wan_folder: Callable[[WanVariant], Path], tiny_sd: Path, tmp_path: Path, name: str
) -> None:
    model = wan_folder("2.1")
    file = lora(tmp_path / "ink.safetensors", name)
    assert reviewed(model, file) == []
    with pytest.raises(GrainError, match=r"G508.*width 1536 \(1.3B\), but the model's has 32"):
        reviewed(model, lora(tmp_path / "wide.safetensors", name, 1536))
    deep = name.replace("1", "39", 1)
    with pytest.raises(GrainError, match="for 40 transformer blocks, but the model has 2"):
        reviewed(model, lora(tmp_path / "deep.safetensors", deep))
    with pytest.raises(GrainError, match="G508.*it is for Wan, a video transformer"):
        reviewed(tiny_sd, file)


def test_loras_of_others_are_told(wan_folder: Callable[[WanVariant], Path], tmp_path: Path) -> None:
    unet = lora(tmp_path / "a.safetensors", "lora_unet_down_blocks_0_attentions_0_proj_in")
    with pytest.raises(GrainError, match="for Stable Diffusion, not for Wan"):
        reviewed(wan_folder("2.1"), unet)
    flux = lora(tmp_path / "b.safetensors", "transformer.single_transformer_blocks.0.attn.to_k")
    with pytest.raises(GrainError, match="for another diffusion transformer, not for Wan"):
        reviewed(wan_folder("2.1"), flux)


FEW_STEPS = (
    "Wan21_CausVid_14B_T2V_lora_rank32",
    "Wan2.2-Lightning/high_noise_model",
    "lightx2v_T2V_14B_cfg_step_distill_v2",
    "ink_4steps",
)


@pytest.mark.parametrize("name", FEW_STEPS)
def test_few_step_loras_run_without_guidance(
    wan_folder: Callable[[WanVariant], Path], tmp_path: Path, name: str
) -> None:
    file = lora(tmp_path / f"{name}.safetensors", OF_WAN[1])
    [found] = reviewed(wan_folder("2.1"), file)
    assert (found.code, found.is_error) == ("G540", False)
    assert "`guidance` is 7.5" in found.message
    assert "`sampler { steps 8  guidance 1  source_guidance 1 }`" in found.cure
    fine = "steps 8  guidance 1  source_guidance 1"
    assert reviewed(wan_folder("2.1"), file, sampler=fine) == []
    [found] = reviewed(wan_folder("2.1"), file, sampler="guidance 1")
    assert "`source_guidance` is 5" in found.message
    inverted = "process invert_and_sample  guidance 1"
    assert reviewed(wan_folder("2.1"), file, sampler=inverted) == []
    one_expert = f"{inverted}  low_noise_guidance 4"
    [found] = reviewed(wan_folder("2.1"), file, sampler=one_expert)
    assert "`low_noise_guidance` is 4" in found.message


def test_a_few_step_checkpoint_is_warned_of(tmp_path: Path) -> None:
    spec = load(spec_of(tiny_wan(tmp_path / "Wan2.1-T2V-StepDistill-CfgDistill"), tmp_path))
    [found] = known(spec, tmp_path).warnings
    assert found.code == "G540"
    assert "contains `Distill`" in found.message
    seen = outlined(spec, tmp_path)
    assert seen is not None
    assert [one.code for one in seen.warnings] == ["G540"]


def test_other_loras_are_not_warned_of(
    wan_folder: Callable[[WanVariant], Path], tmp_path: Path
) -> None:
    for name in ("arcmap", "ink-3000steps", "Wan2.1-style-14B", "crimson"):
        assert reviewed(wan_folder("2.1"), lora(tmp_path / f"{name}.safetensors", OF_WAN[0])) == []
