"""The demo world's CLIP: a small instance of transformers' own class, and its files."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer
from torch import nn
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from grainspec_runtime.demo.clip_training.examples import SIZE
from grainspec_runtime.demo.training.tokenizer import MAX_TOKENS
from grainspec_runtime.whole_folder import whole_folder

MOST_PARAMETERS = 700_000
"""So that float16 weights take at most 1.4 MB."""
MEAN, DEVIATION = 0.5, 0.5
"""Frames are normalised to [-1, 1]."""


def build_clip(tokenizer: CLIPTokenizer, patch: int) -> CLIPModel:
    """Build the model: a vision transformer of four layers, a text transformer of two."""
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 80,
        "intermediate_size": 240,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": MAX_TOKENS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "hidden_size": 96,
        "intermediate_size": 288,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "image_size": SIZE,
        "patch_size": patch,
    }
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=64)
    model = CLIPModel(config)
    count = sum(weight.numel() for weight in model.parameters())
    if count > MOST_PARAMETERS:
        raise AssertionError(f"{count} parameters; expected at most {MOST_PARAMETERS}")
    return model


def save_clip(model: CLIPModel, tokenizer: CLIPTokenizer, folder: Path) -> int:
    """Save model, tokenizer and image processor, float16; return the size of the weights in bytes.

    The folder is written whole, so that one which exists is complete.
    """
    with whole_folder(folder) as partial:
        nn.Module.half(model).save_pretrained(partial)
        _save_tokenizer(tokenizer, partial)
        (partial / "preprocessor_config.json").write_text(json.dumps(_PROCESSOR, indent=2) + "\n")
        config = partial / "config.json"
        facts = json.loads(config.read_text())
        facts.pop("_name_or_path", None)
        config.write_text(json.dumps(facts, indent=2) + "\n")
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


_PROCESSOR = {
    "image_processor_type": "CLIPImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": SIZE},
    "resample": 3,  # bicubic
    "do_center_crop": True,
    "crop_size": {"height": SIZE, "width": SIZE},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [MEAN] * 3,
    "image_std": [DEVIATION] * 3,
    "do_convert_rgb": True,
}
"""The settings of transformers' image processor, in the format that all of its versions read."""


def _save_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    tokenizer.save_pretrained(folder)
    # Older versions of transformers read these two files instead of tokenizer.json.
    backend: Tokenizer = tokenizer.backend_tokenizer
    bpe = json.loads(backend.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(bpe["vocab"], ensure_ascii=False))
    merges = "\n".join(" ".join(pair) for pair in bpe["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
