"""Load a checkpoint's component with diffusers' or transformers' own ``from_pretrained``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from grainspec_runtime.models.bars import without_bars

ATTENTION = "sdpa"
"""The attention of text encoders, the default of transformers. Without it a model's configuration
could name another: even one that is downloaded from the hub."""


def load_component(model: Any, folder: Path, *, dtype: torch.dtype | None = None) -> Any:
    """Load a network from safetensors, with all its weights, and all that there are.

    diffusers and transformers only warn of weights that are missing, or that the configuration has
    no layer for: such a network would be another one than was trained. ``dtype`` is passed to
    ``from_pretrained``, which keeps the parts in float32 that the class says must stay so; None
    loads what is saved. Raises ValueError if weights are missing or left over, and as
    ``from_pretrained`` does.
    """
    names = [path.name for path in folder.glob("*.safetensors")]
    variant = "fp16" if all(".fp16" in name for name in names) else None
    settings: dict[str, Any] = {"use_safetensors": True, "variant": variant}
    if issubclass(model, PreTrainedModel):
        settings |= {"attn_implementation": ATTENTION, "trust_remote_code": False}
    if dtype is not None:
        settings["dtype" if issubclass(model, PreTrainedModel) else "torch_dtype"] = dtype
    with without_bars():
        loaded, loading = model.from_pretrained(folder, output_loading_info=True, **settings)
    missing = sorted(loading["missing_keys"])
    if missing:
        raise ValueError(f"{folder.name} lacks {len(missing)} weights, such as {missing[0]}")
    left_over = sorted(loading["unexpected_keys"])
    if issubclass(model, PreTrainedModel):
        left_over = _more_layers(left_over, loaded.state_dict())
    if left_over:
        what = f"{folder.name} has {len(left_over)} weights that its configuration has no layer for"
        raise ValueError(f"{what}, such as {left_over[0]}")
    return loaded


def _more_layers(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return the names of weights that differ from a known one in their layer's number only.

    Text encoders are published with weights of other networks too: a projection, another encoder.
    """
    kinds = {_NUMBER.sub("N", name) for name in known}
    return [name for name in names if _NUMBER.sub("N", name) in kinds]


_NUMBER = re.compile(r"\d+")
