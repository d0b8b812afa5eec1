"""RAFT (Teed and Deng, ECCV 2020), as implemented in torchvision."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from grainspec.diagnostics import fail, reason_of
from grainspec_runtime.flow.pair import Pair

_MULTIPLE, _LEAST = 8, 128
"""RAFT computes features at 1/8 of the frame's size and pools them by 8 for its coarsest search.
It rejects frames whose sides are not multiples of 8 or are below 128 pixels."""

_CURE = (
    "Use `dis`, which needs no weights, or name a safetensors file of torchvision's raft_large or "
    "raft_small."
)


def raft(weights: Path | None = None, *, device: str | None = None) -> Pair:
    """Return a RAFT flow estimator on ``device`` (default: the best available).

    ``weights`` is a safetensors file of torchvision's ``raft_large`` or ``raft_small``, or a folder
    that contains one; without it, torchvision's own weights are downloaded. Raises GrainError: G501
    without a working torchvision, G502 for weights that are missing or of another network, G503 if
    the download fails.
    """
    from grainspec_runtime.device import best_device

    network = _downloaded() if weights is None else _from_file(weights)
    place = torch.device(device) if device else best_device()
    network = network.to(place).eval().requires_grad_(False)

    @torch.inference_mode()
    def pair(first: Any, second: Any) -> Any:
        height, width = first.shape[:2]
        high, wide = _padded(height), _padded(width)
        padding = ((0, high - height), (0, wide - width), (0, 0))
        first_13HW, second_13HW = (
            torch.from_numpy(np.pad(frame, padding, "edge")).permute(2, 0, 1)[None].float() / 127.5
            - 1
            for frame in (first, second)
        )
        flow_12HW: Tensor = network(first_13HW.to(place), second_13HW.to(place))[-1]
        return flow_12HW[0, :, :height, :width].permute(1, 2, 0).float().cpu().numpy()

    return pair


def _padded(side: int) -> int:
    return max(_LEAST, -(-side // _MULTIPLE) * _MULTIPLE)


def _networks() -> Any:
    try:
        from torchvision.models import optical_flow
    except (ImportError, RuntimeError, OSError) as error:  # one built for another torch raises
        reason = str(error).strip().splitlines()[0]
        message = f"RAFT requires torchvision, which is not installed or does not work: {reason}"
        cure = "Install the torchvision release that matches your torch, or use `dis`."
        raise fail("G501", message, cure) from error
    return optical_flow


def _from_file(weights: Path) -> Any:
    networks = _networks()
    files = sorted(weights.glob("*.safetensors")) if os.path.isdir(weights) else [weights]
    if len(files) != 1 or not os.path.isfile(files[0]):
        if os.path.isdir(weights):
            problem = f"the folder has {len(files)} safetensors files; expected 1"
        else:
            problem = "the file does not exist"
        raise fail("G502", f"no RAFT weights at {weights}: {problem}", _CURE)
    try:
        state = load_file(files[0])
    except (OSError, SafetensorError) as error:
        message = f"{files[0]} is not a valid safetensors file: {error}"
        raise fail("G502", message, _CURE) from error
    large = any(name.startswith("mask_predictor.") for name in state)
    network = networks.raft_large() if large else networks.raft_small()
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        message = f"{files[0]} does not contain weights of torchvision's RAFT"
        raise fail("G502", message, _CURE) from error
    return network


def _downloaded() -> Any:
    """RAFT with torchvision's own weights, which torch.hub caches and verifies by hash."""
    networks = _networks()
    chosen = networks.Raft_Large_Weights.DEFAULT
    try:
        # weights_only: plain tensors, no code
        state = torch.hub.load_state_dict_from_url(
            chosen.url, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError, ValueError) as error:
        reason = reason_of(error)
        message = f"cannot download the weights of RAFT from {chosen.url}: {reason}"
        raise fail("G503", message, _CURE) from error
    network = networks.raft_large()
    network.load_state_dict(state)
    return network
