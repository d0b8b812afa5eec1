"""Compare what a component's configuration claims with the weights that lie beside it.

A network is built from its configuration before its weights are read, so sizes that its weights
cannot have are refused first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from grainspec.diagnostics import fail
from grainspec.diagnostics.span import Span
from grainspec_runtime.models.config import numbers_in, read_json
from grainspec_runtime.models.weights import SUFFIX, UnreadableWeights, read_header

_WIDTHS = (
    "added_kv_proj_dim",
    "base_dim",
    "block_out_channels",
    "cross_attention_dim",
    "d_ff",
    "d_model",
    "decoder_base_dim",
    "ffn_dim",
    "freq_dim",
    "hidden_size",
    "image_dim",
    "in_channels",
    "intermediate_size",
    "latent_channels",
    "max_position_embeddings",
    "out_channels",
    "projection_class_embeddings_input_dim",
    "text_dim",
    "vace_in_channels",
    "vocab_size",
    "z_dim",
)
"""Settings that are a side of one of the network's weights."""
_HEADS = (("num_attention_heads", "attention_head_dim"), ("num_heads", "d_kv"))
"""Settings of transformers whose product is a side of one of the network's weights."""
_DEPTHS = (
    *("layers_per_block", "num_hidden_layers", "num_layers", "num_res_blocks"),
    *("motion_layers_per_block", "transformer_layers_per_block"),
)
"""Settings that count layers, each of which has weights; their product is the network's depth."""

Shapes = Mapping[str, tuple[int, ...]]


def check_folder(folder: Path, span: Span | None = None) -> None:
    """Check the configuration of a component in a folder against its safetensors files.

    Raises GrainError: G502 if a file cannot be read, G528 if the configuration claims more than
    the weights have, or if weights from elsewhere would be added. A folder without weights passes:
    they may not be downloaded yet.
    """
    if (folder / "adapter_config.json").exists():
        message = f"{folder} contains an adapter (adapter_config.json), which would be loaded too"
        raise fail("G528", message, "Fuse the adapter into the weights, or remove it.", span)
    shapes = shapes_in(folder, span)
    if shapes:
        check_claims(read_json(folder / "config.json", span), shapes, folder, span)


def shapes_in(folder: Path, span: Span | None = None) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights in a component's folder; empty without weights.

    Raises GrainError (G502) if a file cannot be read.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            shapes |= read_header(path).shapes
        except UnreadableWeights as error:
            raise fail("G502", f"{path} {error}", error.cure, span) from error
    return shapes


def check_claims(
    config: Mapping[str, Any], shapes: Shapes, name: object, span: Span | None = None
) -> None:
    """Raise GrainError (G528) if a configuration claims a network larger than its weights."""
    sides = max((side for shape in shapes.values() for side in shape), default=0)
    cure = "Use the configuration and the weights of one checkpoint, as they were published."
    for setting in _WIDTHS:
        claimed = max(numbers_in(config, setting), default=0)
        if claimed > sides:
            message = (
                f"the configuration of {name} claims `{setting}` {claimed}, "
                f"but no side of its weights is longer than {sides}"
            )
            raise fail("G528", message, cure, span)
    for heads, size in _HEADS:
        number, channels = (max(numbers_in(config, it), default=0) for it in (heads, size))
        if number * channels > sides:
            message = (
                f"the configuration of {name} claims `{heads}` {number} with `{size}` {channels}, "
                f"but no side of its weights is longer than {sides}"
            )
            raise fail("G528", message, cure, span)
    depth = len(config.get("block_out_channels") or config.get("dim_mult") or [None])
    for setting in _DEPTHS:
        depth *= max(numbers_in(config, setting), default=1)
    if depth > len(shapes):
        message = (
            f"the configuration of {name} claims {depth} layers, "
            f"but its weights are {len(shapes)} tensors"
        )
        raise fail("G528", message, cure, span)


def check_sizes(folder: Path, parts: Iterable[str], span: Span | None = None) -> None:
    """Check all components in the folder of a checkpoint; see :func:`check_folder`."""
    for part in parts:
        check_folder(folder / part, span)
