"""What is known of a Wan checkpoint before it is loaded, and what is refused."""

from __future__ import annotations

import html
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import Grain
from wan import VARIANTS, WanVariant, copy_of, fault_of, spec_of

from grainspec_runtime.backbones.families.wan.prompt_text import PromptText, cleaned
from grainspec_runtime.backbones.registry import describe, find_model, native_size
from grainspec_runtime.testing import check_family

PROMPT = "a red robot &amp; a  zürich bear, with a hat"


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ["found", "light", "described", "text"])
def test_wan_is_a_family(
    wan_folder: Callable[[WanVariant], Path], variant: WanVariant, name: str
) -> None:
    check_family(wan_folder(variant), properties=[name])


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_checkpoint_is_described(
    wan_folder: Callable[[WanVariant], Path], variant: WanVariant
) -> None:
    backbone = describe(str(wan_folder(variant)), Path())
    larger = variant == "ti2v"
    assert backbone.pixels_per_latent == (16 if larger else 8)
    assert backbone.size_multiple == (32 if larger else 16)
    assert [len(group) for group in backbone.frame_groups(9)] == [1, 4, 4]
    assert backbone.grids(128, 64) == ([(2, 4)] if larger else [(4, 8)])
    assert (backbone.noise, backbone.training_steps) == ("flow", 1000)
    assert backbone.layer_count == (3 if variant == "vace" else 2)
    assert (backbone.padding_keys, backbone.max_tokens) == ("neutral", 512)
    assert backbone.exact_tokens


SIZES = {
    "480p": ({}, {}, (832, 480)),
    "480p of 14B": ({"num_attention_heads": 40, "attention_head_dim": 128}, {}, (832, 480)),
    "720p of 14B": (
        {"num_attention_heads": 40, "attention_head_dim": 128},
        {"flow_shift": 5.0},
        (1280, 720),
    ),
    "1.3B with the shift of 720p": ({}, {"flow_shift": 5.0}, (832, 480)),
}


@pytest.mark.parametrize("name", SIZES)
def test_the_native_size(
    wan_folder: Callable[[WanVariant], Path], tmp_path: Path, name: str
) -> None:
    transformer, scheduler, size = SIZES[name]
    model = copy_of(wan_folder("2.1"), tmp_path, "transformer/config.json", **transformer)
    path = model / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | scheduler))
    known = native_size(str(model), Path())
    assert known is not None
    assert (known.size.width, known.size.height, known.multiple) == (*size, 16)
    assert known.of_aspect(9, 16)[0] % 16 == 0


SMALL = {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30}
MIDDLE = {"num_attention_heads": 24, "ffn_dim": 14336, "num_layers": 30}
LARGE = {"num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40}
OF_IMAGES = {**LARGE, "image_dim": 1280, "added_kv_proj_dim": 5120}
OF_TWO_IMAGES = {**OF_IMAGES, "pos_embed_seq_len": 514}
CONTROLS = {**SMALL, "vace_layers": [*range(0, 30, 2)]}
PUBLISHED: dict[str, tuple[WanVariant, dict[str, Any], dict[str, Any], tuple[int, int, int]]] = {
    "T2V-1.3B": ("2.1", SMALL, {}, (832, 480, 30)),
    "T2V-14B": ("2.1", LARGE, {}, (832, 480, 40)),
    "T2V-A14B": ("2.2", LARGE, {}, (832, 480, 40)),
    "TI2V-5B": ("ti2v", MIDDLE, {}, (1280, 704, 30)),
    "VACE-1.3B": ("vace", CONTROLS, {}, (832, 480, 30)),
    "I2V-14B-480P": ("i2v", OF_IMAGES, {"flow_shift": 3.0}, (832, 480, 40)),
    "I2V-14B-720P": ("i2v", OF_IMAGES, {"flow_shift": 5.0}, (1280, 720, 40)),
    "FLF2V-14B-720P": ("i2v", OF_TWO_IMAGES, {"flow_shift": 16.0}, (1280, 720, 40)),
}
"""Settings of published checkpoints: transformer, scheduler; native size and layers."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes(
    wan_folder: Callable[[WanVariant], Path], tmp_path: Path, name: str
) -> None:
    """With the configurations of published checkpoints, before their weights are there."""
    variant, transformer, scheduler, (width, height, layers) = PUBLISHED[name]
    own = {
        "transformer": {"attention_head_dim": 128, "text_dim": 4096, "freq_dim": 256} | transformer,
        "text_encoder": {"d_model": 4096, "vocab_size": 256384, "num_layers": 24},
        "image_encoder": {"hidden_size": 1280, "num_hidden_layers": 32},
        "scheduler": scheduler,
    }
    own["transformer_2"] = own["transformer"]
    model = copy_of(wan_folder(variant), tmp_path)
    for part, settings in own.items():
        for path in (model / part).glob("*config.json"):
            path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    for weights in model.rglob("*.safetensors"):
        weights.unlink()
    if variant == "i2v":
        index = model / "model_index.json"
        kind = "CLIPVisionModelWithProjection"  # as diffusers' script of conversion saves it
        index.write_text(index.read_text().replace("CLIPVisionModel", kind))
    located, family = find_model(str(model), Path())
    assert family.review(located) == []
    backbone = family.describe(located)
    size = backbone.native_size
    assert (size.width, size.height, backbone.layer_count) == (width, height, layers)
    assert size.width % backbone.size_multiple == size.height % backbone.size_multiple == 0


def test_tokens_are_those_of_the_pipeline(wan_folder: Callable[[WanVariant], Path]) -> None:
    """The same ids, from the text as the pipeline cleans it, at the user's characters."""
    from diffusers.pipelines.wan.pipeline_wan import prompt_clean
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(wan_folder("2.1") / "tokenizer")
    backbone = describe(str(wan_folder("2.1")), Path())
    words = prompt_clean(PROMPT)
    encoded = tokenizer(words, padding="max_length", max_length=512, truncation=True)
    pieces = tokenizer.convert_ids_to_tokens(encoded.input_ids)
    spans = list(backbone.tokenize(PROMPT))
    assert len(spans) == len(pieces) == 512
    for piece, (start, end) in zip(pieces, spans, strict=True):
        if piece in ("</s>", "<pad>"):
            assert start == end
        elif piece != "▁":
            assert html.unescape(PROMPT[start:end]) == piece.removeprefix("▁")
    assert backbone.padding is not None
    padding = list(backbone.padding(PROMPT))
    assert padding == [place for place, piece in enumerate(pieces) if piece == "<pad>"]
    assert pieces[padding[0] - 1] == "</s>"


def test_a_long_prompt_is_cut_before_its_end(wan_folder: Callable[[WanVariant], Path]) -> None:
    for outlined in (False, True):
        located, family = find_model(str(wan_folder("2.1")), Path())
        backbone = family.describe(located, outlined=outlined)
        spans = backbone.tokenize("bear " * 600)
        assert len(spans) == 512
        assert spans[510] == (5 * 510, 5 * 510 + 4)
        assert spans[511] == (0, 0)
        assert backbone.padding is not None
        assert list(backbone.padding("bear " * 600)) == []


CLEANED = {
    "  a\tb \n c ": "a b c",
    "a&nbsp;b &lt;c&gt;": "a b <c>",
    "a &amp;amp; b": "a & b",
    "caf&eacute &#233; &#xe9;": "café é é",
    "a\u3000b\x1cc": "a b\x1cc",
    "": "",
    "&nbsp;": "",
}


@pytest.mark.parametrize("text", CLEANED)
def test_prompts_are_cleaned_as_the_pipeline_does(text: str) -> None:
    from diffusers.pipelines.wan.pipeline_wan import prompt_clean

    prompt = cleaned(text)
    assert prompt.text == prompt_clean(text) == CLEANED[text]
    assert len(prompt.origins) == len(prompt.text)
    for character, (start, end) in zip(prompt.text, prompt.origins, strict=True):
        written = html.unescape(html.unescape(text[start:end]))
        assert written == character or (character == " " and not written.strip())


def test_repaired_text_is_matched_with_the_users() -> None:
    """What ftfy would do, which may not be installed."""
    prompt = PromptText.of("a cafÃ© on snow").rewritten("a café on snow")
    assert prompt.span(2, 6) == (2, 7)
    assert prompt.span(10, 14) == (11, 15)
    assert prompt.span(3, 3) == (0, 0)


def test_words_stand_in_for_tokens_where_only_json_is_read(
    wan_folder: Callable[[WanVariant], Path],
) -> None:
    located, family = find_model(str(wan_folder("2.1")), Path())
    backbone = family.describe(located, outlined=True)
    spans = [span for span in backbone.tokenize(PROMPT) if span[0] < span[1]]
    words = ["a", "red", "robot", "&amp;", "a", "zürich", "bear", ",", "with", "a", "hat"]
    assert [PROMPT[start:end] for start, end in spans] == words
    exact = describe(str(wan_folder("2.1")), Path())
    assert sum(start < end for start, end in exact.tokenize(PROMPT)) >= len(words)
    assert not backbone.exact_tokens


def test_a_broken_tokenizer_is_told(
    wan_folder: Callable[[WanVariant], Path], tmp_path: Path
) -> None:
    model = copy_of(wan_folder("2.1"), tmp_path)
    tokenizer = model / "tokenizer" / "tokenizer.json"
    whole = json.loads(tokenizer.read_text())
    tokenizer.write_text("{}")
    assert fault_of(model).code == "G502"
    assert "tokenizer" in fault_of(model).message
    located, family = find_model(str(model), Path())
    assert family.describe(located, outlined=True).max_tokens == 512  # reads none
    vocabulary = whole["model"]["vocab"]
    whole["model"]["vocab"] = [*vocabulary, *([f"▁new{i}", -3.0] for i in range(9))]
    tokenizer.write_text(json.dumps(whole))
    fault = fault_of(model)
    assert fault.code == "G507"
    assert f"tokens up to {len(vocabulary) + 8}" in fault.message
    shutil.rmtree(tokenizer.parent)
    assert fault_of(model).code == "G502"


def test_nothing_of_torch_is_loaded(
    wan_folder: Callable[[WanVariant], Path], tmp_path: Path
) -> None:
    """`grain check` reads JSON only; `grain plan` the tokenizer as well."""
    spec = spec_of(wan_folder("2.1"), tmp_path)
    heavy = {"check": ["torch", "diffusers", "transformers", "tokenizers"]}
    heavy["plan"] = heavy["check"][:2]
    for command, packages in heavy.items():
        code = (
            f"import sys; sys.argv = ['grain', {command!r}, {str(spec)!r}]\n"
            "from grainspec.cli import main\n"
            "try: main()\n"
            "except SystemExit as stopped: assert not stopped.code, stopped.code\n"
            f"assert not set({packages}) & set(sys.modules), sorted(sys.modules)"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr[-600:]
        assert "warning" not in ended.stdout + ended.stderr


def test_a_plan_of_wan(
    wan_folder: Callable[[WanVariant], Path], tmp_path: Path, grain: Grain
) -> None:
    spec = spec_of(wan_folder("2.2"), tmp_path)
    shown = grain("plan", spec, "--format", "json").json
    assert shown["diagnostics"] == []
    said = grain("plan", spec, "--set", "sampler.steps=4").out
    assert "8x8" in said  # latent tokens of 16 pixels
    assert "flow_edit: 12 passes through the denoiser" in said
