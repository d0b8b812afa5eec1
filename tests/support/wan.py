"""Random checkpoints of Wan's true architectures, tiny, saved in diffusers' format.

Every variant has the classes, the settings and the files of a published checkpoint; only widths and
depths are small. Texts are padded to 512 tokens, as Wan's pipelines do.
"""

from __future__ import annotations

import json
import shutil
import string
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, get_args

import diffusers
import pytest
import torch
from clips import ClipFolder
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    T5Tokenizer,
    UMT5Config,
    UMT5EncoderModel,
)

from grainspec import GrainError
from grainspec.diagnostics import Diagnostic
from grainspec_runtime.backbones.registry import find_model
from grainspec_runtime.demo.world import VOCABULARY

WanVariant = Literal["2.1", "2.2", "ti2v", "vace", "i2v"]
VARIANTS: tuple[WanVariant, ...] = get_args(WanVariant)

TEXT_WIDTH, IMAGE_WIDTH = 16, 24
_Z = 16
"""Latent channels of Wan 2.1's VAE. TI2V-5B's has 48."""
_Z_5B = 48
_WORDS = (
    *("man", "woman", "dog", "cat", "horse", "tree", "car", "house", "robot", "sky", "snow"),
    *("left", "right", "photo", "of", "the", "in", "blurry", "rain", "sea", "street"),
)


def tiny_wan(folder: Path, variant: WanVariant = "2.1", **transformer: Any) -> Path:
    """Save a tiny random checkpoint of a variant of Wan; return its folder.

    ``transformer`` are settings of the transformers that differ from those of the variant.

    - ``2.1``: text to video, UniPC with a flow shift of 3.
    - ``2.2``: A14B's two experts, the first for timesteps from 875.
    - ``ti2v``: TI2V-5B, a timestep for every token, and a VAE that scales by 16.
    - ``vace``: 2.1 with VACE's control blocks, and FlowMatchEuler.
    - ``i2v``: 2.1 image to video, 36 input channels and keys of a CLIP image encoder.

    Skips the test where diffusers has no Wan.
    """
    if not hasattr(diffusers, "WanVACEPipeline"):
        pytest.skip(f"diffusers {diffusers.__version__} has no Wan")
    torch.manual_seed(0)
    pipe = _PIPELINES[variant](transformer)
    pipe.save_pretrained(folder)
    return folder


def copy_of(model: Path, to: Path, file: str = "", **settings: Any) -> Path:
    """Copy a checkpoint, with other settings in one of its JSON files."""
    copy = to / "copy"
    shutil.copytree(model, copy)
    if file:
        path = copy / file
        path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return copy


def fault_of(model: Path, **options: Any) -> Diagnostic:
    """Return the error of a checkpoint that is reviewed and described."""
    with pytest.raises(GrainError) as raised:
        located, family = find_model(str(model), Path())
        family.review(located)
        family.describe(located, **options)
    return raised.value.diagnostics[0]


def spec_of(model: Path, folder: Path, *lines: str) -> Path:
    """Write a spec for nine frames of 128 pixels, with regions in both halves."""
    ClipFolder(folder, frames=9, size=(128, 128))
    spec = folder / "edit.grain"
    spec.write_text(
        "\n".join(
            [
                "grain 1",
                'video "clip" { size 128x128 }',
                f'model "{model}"',
                'source "two grey robots on snow"',
                'target "a red robot and a green bear on snow"',
                'region left = masks("left")',
                'region right = masks("right")',
                'edit left -> "red robot"',
                'edit right -> "green bear"',
                *lines,
            ]
        )
    )
    return spec


def save_wan_of_videos(folder: Path) -> Path:
    """Save the checkpoint of 2.1 as one of diffusers' pipeline for videos."""
    tiny_wan(folder)
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace('"WanPipeline"', '"WanVideoToVideoPipeline"'))
    return folder


def stand_in_for_ftfy() -> None:
    """Let diffusers' pipelines run without ftfy, which some use without asking whether it is there.

    With ftfy, texts of these tests stay as they are, too.
    """
    for pipeline in ("i2v", "vace", "video2video"):
        module = import_module(f"diffusers.pipelines.wan.pipeline_wan_{pipeline}")
        if not hasattr(module, "ftfy"):
            vars(module)["ftfy"] = SimpleNamespace(fix_text=lambda text: text)


def wan_tokenizer(words: Iterable[str] = (*VOCABULARY, *_WORDS)) -> T5Tokenizer:
    """Build a T5 tokenizer in which each of these words is one token, and others are letters."""
    letters = (*string.ascii_letters, *string.digits, *string.punctuation, *"äöüéèß…’“”")
    scores = {"<pad>": 0.0, "</s>": 0.0, "<unk>": 0.0, "▁": -4.0}
    scores |= dict.fromkeys((f"▁{word}" for word in words), -2.0)
    scores |= dict.fromkeys((letter for letter in letters if letter not in scores), -9.0)
    return T5Tokenizer(vocab=list(scores.items()), extra_ids=0, model_max_length=512)


def _text_to_video(settings: dict[str, Any]) -> diffusers.WanPipeline:
    return diffusers.WanPipeline(**_common(_Z), transformer=_transformer(settings))


def _two_experts(settings: dict[str, Any]) -> diffusers.WanPipeline:
    return diffusers.WanPipeline(
        **_common(_Z),
        transformer=_transformer(settings),
        transformer_2=_transformer(settings),
        boundary_ratio=0.875,
    )


def _text_image_to_video(settings: dict[str, Any]) -> diffusers.WanPipeline:
    settings = {"in_channels": _Z_5B, "out_channels": _Z_5B, **settings}
    return diffusers.WanPipeline(
        **_common(_Z_5B, flow_shift=5.0), transformer=_transformer(settings), expand_timesteps=True
    )


def _vace(settings: dict[str, Any]) -> diffusers.WanVACEPipeline:
    settings = {"vace_layers": [0, 2], "num_layers": 3, "vace_in_channels": 2 * _Z + 64, **settings}
    common = _common(_Z) | {"scheduler": FlowMatchEulerDiscreteScheduler(shift=5.0)}
    transformer = _initialized(diffusers.WanVACETransformer3DModel(**{**_TRANSFORMER, **settings}))
    return diffusers.WanVACEPipeline(**common, transformer=transformer)


def _image_to_video(settings: dict[str, Any]) -> diffusers.WanImageToVideoPipeline:
    width = _TRANSFORMER["num_attention_heads"] * _TRANSFORMER["attention_head_dim"]
    own = {"in_channels": 2 * _Z + 4, "image_dim": IMAGE_WIDTH, "added_kv_proj_dim": width}
    vision = CLIPVisionConfig(
        hidden_size=IMAGE_WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
    )
    size = {"height": 28, "width": 28}
    return diffusers.WanImageToVideoPipeline(
        **_common(_Z, flow_shift=5.0),
        transformer=_transformer({**own, **settings}),
        image_encoder=CLIPVisionModel(vision),
        image_processor=CLIPImageProcessor(size=size, crop_size=size),
    )


_PIPELINES: dict[WanVariant, Any] = {
    "2.1": _text_to_video,
    "2.2": _two_experts,
    "ti2v": _text_image_to_video,
    "vace": _vace,
    "i2v": _image_to_video,
}

_TRANSFORMER: dict[str, Any] = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "in_channels": _Z,
    "out_channels": _Z,
    "text_dim": TEXT_WIDTH,
    "freq_dim": 16,
    "ffn_dim": 64,
    "num_layers": 2,
    "rope_max_seq_len": 64,
}


def _transformer(settings: dict[str, Any]) -> diffusers.WanTransformer3DModel:
    return _initialized(diffusers.WanTransformer3DModel(**{**_TRANSFORMER, **settings}))


def _initialized(network: Any) -> Any:
    """Make biases and scales of norms random too, which are 0 and 1 in a new network."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def _common(channels: int, *, flow_shift: float = 3.0) -> dict[str, Any]:
    """Return the components that all variants have."""
    tokenizer = wan_tokenizer()
    text = UMT5Config(
        vocab_size=len(tokenizer),
        d_model=TEXT_WIDTH,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_heads=2,
        is_encoder_decoder=False,
    )
    return {
        "tokenizer": tokenizer,
        "text_encoder": UMT5EncoderModel(text),
        "vae": _vae_5b() if channels == _Z_5B else _vae(),
        "scheduler": UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=flow_shift
        ),
    }


def _vae() -> diffusers.AutoencoderKLWan:
    return diffusers.AutoencoderKLWan(base_dim=8, z_dim=_Z, dim_mult=[1, 2, 2, 2], num_res_blocks=1)


def _vae_5b() -> diffusers.AutoencoderKLWan:
    mean, deviation = torch.randn(_Z_5B), 1 + torch.rand(_Z_5B)
    return diffusers.AutoencoderKLWan(
        base_dim=8,
        decoder_base_dim=12,
        z_dim=_Z_5B,
        dim_mult=[1, 2, 2, 2],
        num_res_blocks=1,
        latents_mean=mean.tolist(),
        latents_std=deviation.tolist(),
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
    )
