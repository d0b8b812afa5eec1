"""Checkpoints in one file, made from tiny ones in diffusers' format.

The names of tensors are those of the programs that the published files were trained with. This is
the inverse of diffusers' own conversion, for networks of any number of levels.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from diffusers.loaders.single_file_utils import DIFFUSERS_TO_LDM_MAPPING
from safetensors.torch import load_file, save_file
from torch import Tensor

Tensors = dict[str, Tensor]

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_VAE_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}


def save_single_file(folder: Path, path: Path, *, openclip: bool = False) -> Path:
    """Save a checkpoint's weights in one file; ``openclip``: with the text encoder of 2.x."""
    tensors = {f"model.diffusion_model.{k}": v for k, v in _unet(folder / "unet").items()}
    tensors |= {f"first_stage_model.{k}": v for k, v in _vae(folder / "vae").items()}
    first, second = folder / "text_encoder", folder / "text_encoder_2"
    if second.is_dir():
        tensors |= _clip(first, "conditioner.embedders.0.transformer.")
        tensors |= _openclip(second, "conditioner.embedders.1.model.")
    elif openclip:
        tensors |= _openclip(first, "cond_stage_model.model.")
    else:
        tensors |= _clip(first, "cond_stage_model.transformer.")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def rewrite(file: Path, tensors: Tensors) -> None:
    """Replace a safetensors file, from which ``tensors`` may still be mapped into memory."""
    save_file(tensors, file.with_suffix(".new"))
    file.with_suffix(".new").replace(file)


def _weights(folder: Path) -> tuple[Tensors, dict[str, int]]:
    return (
        load_file(next(folder.glob("*.safetensors"))),
        json.loads((folder / "config.json").read_text()),
    )


def _unet(folder: Path) -> Tensors:
    tensors, config = _weights(folder)
    per_block = config["layers_per_block"] + 1
    layers = {
        **DIFFUSERS_TO_LDM_MAPPING["unet"]["layers"],
        **DIFFUSERS_TO_LDM_MAPPING["unet"]["addition_embed_type"],
    }
    attended = [kind.startswith("Cross") for kind in config["up_block_types"]]

    def place(name: str) -> str:
        if name in layers:
            return str(layers[name])
        if match := re.fullmatch(r"mid_block\.(\w+)\.(\d)\.(.+)", name):
            kind, index, rest = match[1], int(match[2]), match[3]
            return f"middle_block.{1 if kind == 'attentions' else 2 * index}.{_inner(kind, rest)}"
        match = re.fullmatch(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.+)", name)
        assert match, name
        block, kind, index, rest = int(match[2]), match[3], int(match[4]), match[5]
        if match[1] == "down":
            at = per_block * block + index + 1
            if kind == "downsamplers":
                return f"input_blocks.{per_block * (block + 1)}.0.{rest.replace('conv', 'op')}"
            return f"input_blocks.{at}.{int(kind == 'attentions')}.{_inner(kind, rest)}"
        at = per_block * block + index
        if kind == "upsamplers":
            return f"output_blocks.{per_block * block + per_block - 1}.{1 + attended[block]}.{rest}"
        return f"output_blocks.{at}.{int(kind == 'attentions')}.{_inner(kind, rest)}"

    return {place(name): tensor for name, tensor in tensors.items()}


def _inner(kind: str, rest: str) -> str:
    if kind != "resnets":
        return rest
    layer, _, end = rest.partition(".")
    return f"{_RESNET[layer]}.{end}"


def _vae(folder: Path) -> Tensors:
    tensors, config = _weights(folder)
    last = len(config["block_out_channels"]) - 1

    def place(name: str) -> str:
        name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
        name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
        name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
        name = re.sub(
            r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{last - int(m[1])}.block.{m[2]}", name
        )
        name = re.sub(
            r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{last - int(m[1])}.upsample", name
        )
        if match := re.fullmatch(r"(\w+)\.mid_block\.attentions\.0\.(.+)\.(\w+)", name):
            return f"{match[1]}.mid.attn_1.{_VAE_ATTENTION[match[2]]}.{match[3]}"
        return name

    placed = {place(name): tensor for name, tensor in tensors.items()}
    return {
        name: tensor[:, :, None, None]
        if ".attn_1." in name and tensor.ndim == 2  # these were convolutions
        else tensor
        for name, tensor in placed.items()
    }


def _clip(folder: Path, prefix: str) -> Tensors:
    tensors, _ = _weights(folder)
    named = {f"text_model.{name.removeprefix('text_model.')}": v for name, v in tensors.items()}
    return {f"{prefix}{name}": tensor for name, tensor in named.items()}


def _openclip(folder: Path, prefix: str) -> Tensors:
    tensors, _ = _weights(folder)
    tensors = {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
    layers = {
        name.removeprefix("text_model."): place
        for name, place in DIFFUSERS_TO_LDM_MAPPING["openclip"]["layers"].items()
    }
    inner = DIFFUSERS_TO_LDM_MAPPING["openclip"]["transformer"]
    placed: Tensors = {}
    for name, tensor in tensors.items():
        if name in layers:
            place = layers[name]
            placed[prefix + place] = tensor.T if place == "text_projection" else tensor
            continue
        if match := re.fullmatch(r"(encoder\.layers\.\d+\.self_attn)\.([qkv])_proj\.(\w+)", name):
            if match[2] != "q":
                continue
            parts = [tensors[f"{match[1]}.{part}_proj.{match[3]}"] for part in "qkv"]
            name, tensor = f"{match[1]}.in_proj_{match[3]}", torch.cat(parts)
        name = f"text_model.{name}"
        for new, old in inner.items():
            name = name.replace(new, old)
        placed[f"{prefix}transformer.{name}"] = tensor
    return placed
