"""Keep a Wan checkpoint's networks in CPU memory, and move to the device what computes.

`model` and `sequential` are diffusers' own, for all networks. With `group`, two transformer blocks
are on the device at a time: one computes while the next one is copied, on a CUDA stream of its own.
The VAE and the image encoder are then on the device as long as they are used. (The text encoder is
placed by :mod:`grainspec_runtime.backbones.families.wan.prompts`.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import nn

from grainspec_runtime.backbones.families.wan.configs import EXPERTS
from grainspec_runtime.models.options import Offload

Using = Callable[..., AbstractContextManager[None]]
"""Has networks of the pipeline, by name, on the device inside the block."""


def offload(pipe: Any, kind: Offload | None, device: torch.device) -> None:
    """Place the networks of a pipeline, which are on the CPU."""
    if kind is None:
        for part in pipe.components.values():
            if isinstance(part, nn.Module):
                nn.Module.to(part, device)
    elif kind == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif kind == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    else:
        streams = device.type == "cuda"
        for name in EXPERTS:
            network = getattr(pipe, name, None)
            if network is not None:
                network.enable_group_offload(
                    onload_device=device,
                    offload_device=torch.device("cpu"),
                    offload_type="block_level",
                    num_blocks_per_group=1,
                    use_stream=streams,
                    record_stream=streams,
                )


def user(pipe: Any, kind: Offload | None, device: torch.device) -> Using:
    """Return what has networks of an offloaded pipeline on the device while they are used."""

    @contextmanager
    def using(*parts: str) -> Iterator[None]:
        networks = [getattr(pipe, part, None) for part in parts] if kind == "group" else []
        moved = [network for network in networks if network is not None]
        for network in moved:
            nn.Module.to(network, device)
        try:
            yield
        finally:
            for network in moved:
                nn.Module.to(network, "cpu")
            pipe.maybe_free_model_hooks()  # of `model`: all are on the CPU again

    return using
