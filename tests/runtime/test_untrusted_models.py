"""Model files come from strangers: nothing runs, nothing is fetched, nothing grows without bound."""

from __future__ import annotations

import json
import os
import shutil
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_findings import check_model
from transformers import PreTrainedModel

from grainspec import GrainError, parse
from grainspec.diagnostics import Diagnostic
from grainspec_runtime.backbones.registry import describe, load_checkpoint
from grainspec_runtime.models.config import MAX_BYTES
from grainspec_runtime.models.options import LoadOptions

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def copy(tiny_sd: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_sd, tmp_path / "copy"))


def change(path: Path, **settings: object) -> None:
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, **settings}))


def faults(model: Path) -> list[Diagnostic]:
    """The findings of `grain check` about a model; `plan` and `run` stop for the same."""
    spec = parse(
        f'grain 1 video "c" model "{model}" target "a bear" region r = all edit r -> "bear"'
    )
    found = list(check_model(spec, Path()))
    if any(finding.is_error for finding in found):
        with pytest.raises(GrainError) as raised:
            describe(str(model), Path())
            load_checkpoint(str(model), Path(), LoadOptions(device="cpu"))
        assert raised.value.diagnostics[0].code == found[0].code
    return found


@pytest.mark.parametrize(
    ("place", "settings"),
    [
        ("text_encoder/config.json", {"_attn_implementation": "someone/kernel"}),
        ("text_encoder/config.json", {"attn_implementation": "kernels-community/flash-attn"}),
        ("text_encoder/config.json", {"attn_implementation": "flash_attention_2"}),
        ("text_encoder/config.json", {"_attn_implementation_internal": "a/b:f"}),
        ("text_encoder/config.json", {"text_config": {"_attn_implementation": "a/b"}}),
        ("text_encoder/config.json", {"auto_map": {"AutoModel": "code.Model"}}),
        ("text_encoder/config.json", {"quantization_config": {"quant_method": "awq"}}),
        ("unet/config.json", {"quantization_config": {"quant_method": "bitsandbytes"}}),
        ("unet/config.json", {"use_kernels": True}),
        ("model_index.json", {"custom_pipeline": "someone/pipeline"}),
    ],
)
def test_configurations_name_no_code(copy: Path, place: str, settings: dict[str, Any]) -> None:
    change(copy / place, **settings)
    (finding,) = faults(copy)
    assert finding.code == "G528"
    assert str(copy / place) in finding.message


@pytest.mark.parametrize("library", ["os", "grainspec", "diffusers_modules.local"])
def test_an_index_names_no_other_library(copy: Path, library: str) -> None:
    change(copy / "model_index.json", unet=[library, "UNet2DConditionModel"])
    assert [finding.code for finding in faults(copy)] == ["G504"]


@pytest.mark.parametrize(
    ("place", "settings"),
    [
        ("unet", {"block_out_channels": [8, 8, 16, 10**9]}),
        ("unet", {"block_out_channels": [8] * 1000}),
        ("unet", {"block_out_channels": 8}),
        ("unet", {"block_out_channels": [8, "16", 16, 16]}),
        ("unet", {"block_out_channels": []}),
        ("unet", {"down_block_types": "DownBlock2D"}),
        ("unet", {"layers_per_block": 10**9}),
        ("unet", {"layers_per_block": 60, "transformer_layers_per_block": 100}),
        ("unet", {"block_out_channels": [8, 8, 16, 60_000]}),
        ("unet", {"cross_attention_dim": []}),
        ("unet", {"sample_size": 10**6}),
        ("unet", {"sample_size": "64"}),
        ("unet", {"in_channels": -4}),
        ("vae", {"latent_channels": 4.5}),
        ("vae", {"block_out_channels": [[8, 10**30]]}),
        ("text_encoder", {"hidden_size": 10**12}),
        ("text_encoder", {"vocab_size": 9_999_999}),
        ("text_encoder", {"num_hidden_layers": 1000}),
        ("text_encoder", {"max_position_embeddings": 65_000}),
        ("text_encoder", {"hidden_size": [16]}),
        ("vae", {"block_out_channels": [[8]]}),
        ("scheduler", {"num_train_timesteps": 10**11}),
        ("scheduler", {"steps_offset": "one"}),
    ],
)
def test_claims_are_refused_before_anything_is_built(
    copy: Path, place: str, settings: dict[str, Any]
) -> None:
    file = "scheduler_config.json" if place == "scheduler" else "config.json"
    change(copy / place / file, **settings)
    tracemalloc.start()
    started = time.monotonic()
    (finding,) = faults(copy)
    assert finding.code == "G528"
    assert time.monotonic() - started < 2
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_files_that_are_too_large_or_too_deep(copy: Path) -> None:
    path = copy / "unet" / "config.json"
    whole = path.read_text()
    path.write_text(whole + " " * MAX_BYTES)
    assert [finding.code for finding in faults(copy)] == ["G528"]
    for text in ("[" * 400_000, '{"a":' * 200_000, "9" * 100_000, '{"a": 1', "[1]", '"\\ud800'):
        path.write_text(text)
        assert [finding.code for finding in faults(copy)] == ["G502"]
    path.write_text('{"x":' * 900 + "0" + "}" * 900)
    assert all(finding.code in ("G502", "G507", "G528") for finding in faults(copy))
    path.write_text(whole)
    (copy / "tokenizer" / "tokenizer.json").write_bytes(b" " * (33 << 20))
    with pytest.raises(GrainError, match="G528"):
        describe(str(copy), Path())


@pytest.mark.parametrize(
    ("place", "settings"),
    [
        ("tokenizer/tokenizer.json", {"normalizer": ""}),
        ("tokenizer/tokenizer.json", {"model": [1, 2]}),
        ("tokenizer/tokenizer_config.json", {"model_max_length": -1}),
        ("tokenizer/tokenizer_config.json", {"model_max_length": [77]}),
        ("scheduler/scheduler_config.json", {"beta_schedule": [1]}),
        ("scheduler/scheduler_config.json", {"trained_betas": "linear"}),
        ("scheduler/scheduler_config.json", {"beta_end": "linear"}),
        ("text_encoder/config.json", {"initializer_range": "x"}),
        ("vae/config.json", {"block_out_channels": None}),
        ("unet/config.json", {"norm_num_groups": 0}),
    ],
)
def test_settings_of_the_wrong_type(copy: Path, place: str, settings: dict[str, Any]) -> None:
    """No traceback of a library, whichever notices it."""
    change(copy / place, **settings)
    with pytest.raises(GrainError, match="G502|G507|G528"):
        describe(str(copy), Path())
        load_checkpoint(str(copy), Path(), LoadOptions(device="cpu"))


def test_pipes_are_not_read(copy: Path) -> None:
    path = copy / "unet" / "config.json"
    path.unlink()
    os.mkfifo(path)
    assert [finding.code for finding in faults(copy)] == ["G502"]
    os.mkfifo(copy / "pipe.safetensors")
    assert [finding.code for finding in faults(copy / "pipe.safetensors")] == ["G502"]


def test_links_are_followed_to_files_alone(copy: Path, tmp_path: Path) -> None:
    """The hub's cache consists of links."""
    path = copy / "unet" / "config.json"
    path.rename(tmp_path / "blob")
    path.symlink_to(tmp_path / "blob")
    assert faults(copy) == []
    path.unlink()
    path.symlink_to(path)
    assert [finding.code for finding in faults(copy)] == ["G502"]
    path.unlink()
    path.symlink_to("/dev/zero")
    assert [finding.code for finding in faults(copy)] == ["G502"]


def test_adapters_beside_weights_are_refused(copy: Path) -> None:
    """transformers would load them too, from wherever they name."""
    (copy / "text_encoder" / "adapter_config.json").write_text(
        '{"base_model_name_or_path": "someone/model", "peft_type": "LORA"}'
    )
    assert [finding.code for finding in faults(copy)] == ["G528"]


def test_attention_is_pinned(tiny_sd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    load = PreTrainedModel.from_pretrained.__func__

    def spy(cls: type, *args: object, **named: object) -> object:
        seen.append((named["attn_implementation"], named["use_safetensors"]))
        return load(cls, *args, **named)

    monkeypatch.setattr(PreTrainedModel, "from_pretrained", classmethod(spy))
    load_checkpoint(str(tiny_sd), Path(), LoadOptions(device="cpu"))
    assert seen == [("sdpa", True)]


def test_a_size_may_be_two_numbers(copy: Path) -> None:
    change(copy / "unet" / "config.json", sample_size=[8, 12])
    size = describe(str(copy), Path()).native_size
    assert (size.width, size.height) == (96, 64)
