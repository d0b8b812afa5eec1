"""The demo's motion adapter, and the image model's UNet with one.

An adapter is what AnimateDiff (Guo et al., ICLR 2024, arXiv 2307.04725) adds to an image model:
after each of a UNet's layers, attention of every latent position over the frames of the clip.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from diffusers import MotionAdapter, UNet2DConditionModel, UNetMotionModel
from torch import nn

from grainspec_runtime.demo.training.networks import build_scheduler
from grainspec_runtime.models.locate import DEMO_FOLDER
from grainspec_runtime.models.motion_unet import with_motion

LAYERS = (1, 1, 0)
"""Temporal transformer layers of each level, from the finest. A layer costs 20 times the square of
the level's channels, so one at the coarsest level costs as much as nine at the finest; there its
modules are projections around a norm over the clip."""
_HEAD = 32
"""Channels of a head, as in the image model's own attention."""


def demo_unet() -> UNet2DConditionModel:
    """Load the shipped image model's UNet in float32, frozen."""
    unet = UNet2DConditionModel.from_pretrained(DEMO_FOLDER / "unet", use_safetensors=True)
    frozen: UNet2DConditionModel = unet.float().eval().requires_grad_(False)
    return frozen


def build_adapter(
    unet: UNet2DConditionModel, frames: int, layers: Sequence[int] = LAYERS
) -> MotionAdapter:
    """Build an adapter for clips of at most ``frames`` frames that changes nothing yet.

    The default has 1.6 M parameters: 3.2 MB in float16. Its last projections are zero, as
    AnimateDiff's are at the start of training, so that the model is the image model. Raises
    ValueError if ``layers`` has not one number for each level of the UNet.
    """
    channels = tuple(unet.config.block_out_channels)
    if len(layers) != len(channels):
        raise ValueError(f"{len(layers)} numbers of layers for a UNet of {len(channels)} levels")
    adapter = MotionAdapter(
        block_out_channels=channels,
        motion_layers_per_block=unet.config.layers_per_block,
        motion_transformer_layers_per_block=tuple(layers),
        motion_num_attention_heads=tuple(count // _HEAD for count in channels),
        motion_norm_num_groups=unet.config.norm_num_groups,
        motion_max_seq_length=frames,
        use_motion_mid_block=False,
    )
    silence(adapter)
    return adapter


def silence(adapter: nn.Module) -> None:
    """Set the last projection of every motion module to zero: it then returns its input."""
    for name, module in adapter.named_modules():
        if name.endswith("proj_out"):
            for weight in module.parameters():
                nn.init.zeros_(weight)


def with_adapter(unet: UNet2DConditionModel, adapter: MotionAdapter) -> UNetMotionModel:
    """Return a UNet with the very modules of an adapter, which are all that can be trained."""
    model = with_motion(unet, adapter).eval().requires_grad_(False)
    for block, motion in _blocks(model, adapter):
        block.motion_modules = motion.motion_modules.requires_grad_(True)
    return model


def _blocks(
    model: UNetMotionModel, adapter: MotionAdapter
) -> Iterable[tuple[nn.Module, nn.Module]]:
    """Pair the blocks of a UNet with those of its adapter."""
    yield from zip(model.down_blocks, adapter.down_blocks, strict=True)
    if adapter.mid_block is not None:
        yield model.mid_block, adapter.mid_block
    yield from zip(model.up_blocks, adapter.up_blocks, strict=True)


def save_adapter(adapter: MotionAdapter, folder: Path) -> int:
    """Save an adapter in diffusers' format, float16; return the size of its weights in bytes.

    Beside it lies the configuration of the noise that it was trained with, the image model's. The
    folder is written whole.
    """
    partial = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    halves = MotionAdapter.from_config(adapter.config)
    halves.load_state_dict(adapter.state_dict())
    nn.Module.half(halves)
    halves.save_pretrained(partial)
    build_scheduler().save_pretrained(partial)
    config = partial / "config.json"
    facts = json.loads(config.read_text())
    facts.pop("_name_or_path", None)
    config.write_text(json.dumps(facts, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
