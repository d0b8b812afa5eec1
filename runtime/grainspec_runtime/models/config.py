"""Read a model's configuration files, which come from strangers: bounded, and without code.

Configurations are read here before diffusers or transformers see them. What they could make those
libraries do besides building a network of a known size is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from grainspec.diagnostics import fail
from grainspec.diagnostics.span import Span

MAX_BYTES = 1 << 20
"""Bytes of the largest configuration file that is read; usual ones have a few kilobytes."""

LIMITS = {
    "act_embed_dim": 65_536,
    "added_kv_proj_dim": 65_536,
    "addition_time_embed_dim": 65_536,
    "attention_head_dim": 65_536,
    "base_dim": 65_536,
    "block_out_channels": 65_536,
    "conditioning_embedding_out_channels": 65_536,
    "conv_in_channels": 4096,
    "cross_attention_dim": 65_536,
    "d_ff": 1 << 20,
    "d_kv": 65_536,
    "d_model": 65_536,
    "decoder_base_dim": 65_536,
    "dim_mult": 64,
    "ffn_dim": 1 << 20,
    "freq_dim": 65_536,
    "hidden_size": 65_536,
    "image_dim": 65_536,
    "image_size": 4096,
    "in_channels": 4096,
    "intermediate_size": 1 << 20,
    "latent_channels": 4096,
    "layers_per_block": 64,
    "max_position_embeddings": 65_536,
    "mid_block_layers": 64,
    "motion_layers_per_block": 64,
    "motion_max_seq_length": 1024,
    "motion_mid_block_layers_per_block": 64,
    "motion_norm_num_groups": 65_536,
    "motion_num_attention_heads": 65_536,
    "motion_transformer_layers_per_block": 128,
    "motion_transformer_layers_per_mid_block": 128,
    "norm_num_groups": 65_536,
    "num_attention_heads": 65_536,
    "num_decoder_layers": 1024,
    "num_heads": 65_536,
    "num_hidden_layers": 1024,
    "num_layers": 1024,
    "num_res_blocks": 64,
    "num_train_timesteps": 100_000,
    "out_channels": 4096,
    "patch_size": 256,
    "pos_embed_seq_len": 65_536,
    "projection_class_embeddings_input_dim": 1 << 20,
    "projection_dim": 65_536,
    "relative_attention_num_buckets": 65_536,
    "rope_max_seq_len": 65_536,
    "sample_size": 2048,
    "scale_factor_spatial": 256,
    "scale_factor_temporal": 256,
    "steps_offset": 10_000,
    "temporal_transformer_layers_per_block": 128,
    "temporal_transformer_layers_per_mid_block": 128,
    "text_dim": 65_536,
    "time_cond_proj_dim": 65_536,
    "transformer_layers_per_block": 128,
    "vace_in_channels": 65_536,
    "vace_layers": 1024,
    "vocab_size": 10_000_000,
    "z_dim": 4096,
}
"""The largest value of each setting that sizes something, far above those of real models."""

_LISTS = {
    "attention_head_dim",
    "block_out_channels",
    "conditioning_embedding_out_channels",
    "cross_attention_dim",
    "dim_mult",
    "image_size",
    "layers_per_block",
    "motion_layers_per_block",
    "motion_num_attention_heads",
    "motion_transformer_layers_per_block",
    "motion_transformer_layers_per_mid_block",
    "num_attention_heads",
    "num_heads",
    "patch_size",
    "sample_size",
    "temporal_transformer_layers_per_block",
    "temporal_transformer_layers_per_mid_block",
    "transformer_layers_per_block",
    "vace_layers",
}
"""Settings that may be a list, with a number for every level."""

MAX_BLOCKS = 16
"""The most levels that a UNet or a VAE may have: every level halves the size."""

_ATTENTION = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
_PLAIN_ATTENTION = (None, "eager", "sdpa")
_CODE = {
    "auto_map": "names Python code to run",
    "custom_pipeline": "names Python code to run",
    "kernel_config": "names compiled kernels to download",
    "use_kernels": "asks for compiled kernels to download",
    "quantization_config": "asks for quantized weights, which this release does not load",
}
"""Settings that make diffusers or transformers run or fetch something, and what that is."""

_CURE_DOWNLOAD = "Check that the model's download is complete."
_CURE_TRUST = "Remove the setting if the model works without it, or use another model."


def read_json(path: Path, span: Span | None = None) -> dict[str, Any]:
    """Read a JSON object from a model's folder.

    Raises GrainError: G502 if the file is missing or broken, G528 if it is too large, asks for
    anything but a network, or has a setting out of range.
    """
    content = b""
    try:
        if path.is_file():  # no device and no pipe
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            message = f"{path} is larger than {MAX_BYTES >> 20} MB, the most that is read"
            raise fail("G528", message, "Use the configuration that was published.", span)
        value = json.loads(content.decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        message, cure = f"{path} is missing or broken", _CURE_DOWNLOAD
        if content.startswith(b"version https://git-lfs"):
            message = f"{path} is a Git LFS pointer, not the file itself"
            cure = "Run `git lfs pull` in the model's folder."
        raise fail("G502", message, cure, span) from error
    if not isinstance(value, dict):
        message = f"{path} does not contain a JSON object"
        raise fail("G502", message, _CURE_DOWNLOAD, span)
    _refuse(path, value, span)
    return value


def _refuse(path: Path, config: dict[str, Any], span: Span | None) -> None:
    """Raise GrainError (G528) for settings that run code, or are out of range."""
    for name, value in _settings(config):
        if name in _ATTENTION and value not in _PLAIN_ATTENTION:
            message = f"`{name}` in {path} names the attention implementation {_shown(value)}"
            raise fail("G528", message, _CURE_TRUST, span)
        if name in _CODE and value:
            raise fail("G528", f"`{name}` in {path} {_CODE[name]}", _CURE_TRUST, span)
        if name in LIMITS and value is not None:
            _check_numbers(path, name, value, span)
    for name in ("block_out_channels", "dim_mult", "down_block_types", "up_block_types"):
        blocks = config.get(name)
        if blocks is not None and not (isinstance(blocks, list) and 0 < len(blocks) <= MAX_BLOCKS):
            message = f"`{name}` in {path} is {_shown(blocks)}"
            cure = f"It must be a list of 1 to {MAX_BLOCKS} entries, one per level."
            raise fail("G528", message, cure, span)


def _settings(value: Any) -> Iterator[tuple[str, Any]]:
    """Iterate over all settings of a configuration, nested ones included."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield from item.items()
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _check_numbers(path: Path, name: str, value: Any, span: Span | None) -> None:
    """Check that a setting is a number in range, or a list of such."""
    numbers = value if isinstance(value, list) and name in _LISTS else [value]
    if name.endswith("transformer_layers_per_block"):  # a list for every layer of a level
        numbers = [n for item in numbers for n in (item if isinstance(item, list) else [item])]
    most = LIMITS[name]
    for number in numbers or [None]:
        whole = isinstance(number, int) and not isinstance(number, bool)
        if not whole or not 0 <= number <= most:
            message = f"`{name}` in {path} is {_shown(value)}"
            raise fail("G528", message, f"It must be a whole number up to {most}.", span)


def _shown(value: Any) -> str:
    text = json.dumps(value) if not isinstance(value, int) or abs(value) < 10**18 else "huge"
    return text if len(text) <= 60 else f"{text[:57]}…"


def number_in(config: Mapping[str, Any], name: str, default: int) -> int:
    """Return a setting that is one number; ``default`` if it is missing or null."""
    value = config.get(name)
    return default if value is None else int(value)


def numbers_in(config: Mapping[str, Any], name: str) -> list[int]:
    """Return the numbers of a setting that may be one number or a nested list of numbers."""
    value = config.get(name)
    if isinstance(value, list):
        return [n for item in value for n in (item if isinstance(item, list) else [item])]
    return [] if value is None else [value]
