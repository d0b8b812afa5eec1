"""Compare the configuration of Wan's transformers with the weights beside it. Free of torch.

diffusers drops weights that a configuration has no layer for, with a warning: ``num_layers`` 1
would run another network than was trained.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import prod

from grainspec.diagnostics import fail
from grainspec_runtime.backbones.families.wan.configs import (
    Config,
    WanConfigs,
    setting_of,
    width_of,
)
from grainspec_runtime.models.claims import Shapes, shapes_in
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.weights import SUFFIX

_CURE = "Use the configuration and the weights of one checkpoint, as they were published."
_SIDES = {
    "in_channels": ("patch_embedding.weight", 1),
    "text_dim": ("condition_embedder.text_embedder.linear_1.weight", 1),
    "freq_dim": ("condition_embedder.time_embedder.linear_1.weight", 1),
    "image_dim": ("condition_embedder.image_embedder.ff.net.0.proj.weight", 1),
    "ffn_dim": ("blocks.0.ffn.net.0.proj.weight", 0),
    "added_kv_proj_dim": ("blocks.0.attn2.add_k_proj.weight", 1),
}
"""Settings that are a side of a weight, or null where it is missing: the weight, and its axis."""
_PARTS = re.compile(r"-of-(\d+)")


def check_weights(model: ModelFolder, configs: WanConfigs) -> None:
    """Raise GrainError (G528) if a transformer's configuration and weights do not agree.

    Weights that are not downloaded yet, or in part, are not compared; G502 if they are broken.
    """
    for expert, config in configs.experts.items():
        folder = model.folder / expert
        files = [path.name for path in folder.glob(f"*{SUFFIX}")]
        parts = [int(found[1]) for name in files if (found := _PARTS.search(name))]
        if parts and len(parts) < max(parts):
            continue
        shapes = shapes_in(folder, model.span)
        layers = len(configs.control_layers) if configs.is_vace else None
        for setting, claimed, actual in _differing(config, shapes, layers) if shapes else ():
            message = (
                f"{model.name}: the configuration of the {expert} has {setting} {claimed}, "
                f"but its weights have {actual}"
            )
            raise fail("G528", message, _CURE, model.span)


def _differing(
    config: Config, shapes: Shapes, control_layers: int | None
) -> Iterator[tuple[str, str, str]]:
    """Iterate over settings that differ from the weights: name, configured and actual value.

    ``control_layers`` are VACE's by the configuration.
    """
    for setting, claimed, actual in _compared(config, shapes, control_layers):
        if claimed != actual:
            yield setting, _shown(claimed), _shown(actual)


def _compared(
    config: Config, shapes: Shapes, control_layers: int | None
) -> Iterator[tuple[str, object, object]]:
    width = _side(shapes, "patch_embedding.weight", 0)
    yield "`num_attention_heads` times `attention_head_dim`", width_of(config), width
    yield "`num_layers`", setting_of(config, "num_layers"), _blocks(shapes, "blocks")
    for setting, (weight, axis) in _SIDES.items():
        yield f"`{setting}`", setting_of(config, setting), _side(shapes, weight, axis)
    patch = prod(setting_of(config, "patch_size"))
    outputs = setting_of(config, "out_channels") * patch
    yield "`out_channels` times `patch_size`", outputs, _side(shapes, "proj_out.weight", 0)
    normed = bool(setting_of(config, "cross_attn_norm"))
    yield "`cross_attn_norm`", normed, "blocks.0.norm2.weight" in shapes
    controls = _blocks(shapes, "vace_blocks")
    yield "numbers in `vace_layers`:", control_layers or 0, controls
    if control_layers:
        inputs = _side(shapes, "vace_patch_embedding.weight", 1)
        yield "`vace_in_channels`", setting_of(config, "vace_in_channels"), inputs


def _blocks(shapes: Shapes, name: str) -> int:
    """Return the number of blocks of a list that have weights."""
    return len({weight.split(".")[1] for weight in shapes if weight.startswith(f"{name}.")})


def _side(shapes: Shapes, weight: str, axis: int) -> int | None:
    shape = shapes.get(weight, ())
    return shape[axis] if axis < len(shape) else None


def _shown(value: object) -> str:
    return "none" if value is None else str(value).lower()
