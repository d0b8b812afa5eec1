"""Inversions on disk, so that other words for the same clip start at once."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from grainspec.whole_file import whole_file
from grainspec_runtime.sampling.cache_folder import cache_folder

MAX_BYTES = 4 << 30
"""The cache is kept below this; what was used longest ago goes first."""


def inversion_key(latents: Tensor, facts: Mapping[str, Any]) -> str:
    """A hash of everything an inversion depends on: the clip's latents and the settings."""
    sha = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    sha.update(latents.float().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def load_inversion(key: str, device: torch.device) -> Tensor | None:
    """A cached trajectory, or None; a file that cannot be read counts as absent."""
    path = _path(key)
    try:
        trajectory = load_file(path)["trajectory"]
    except (OSError, SafetensorError, KeyError):
        return None
    with contextlib.suppress(OSError):  # a cache shared for reading only
        path.touch()
    return trajectory.to(device).float()


def save_inversion(key: str, trajectory: Tensor) -> None:
    """Keep a trajectory; quietly does nothing where the cache cannot be written."""
    path = _path(key)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            partial.write_bytes(save({"trajectory": trajectory.cpu().contiguous()}))
        _prune(path.parent)


def _path(key: str) -> Path:
    return cache_folder() / "inversions" / f"{key}.safetensors"


def _prune(folder: Path) -> None:
    files = sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime)
    total = sum(path.stat().st_size for path in files)
    for path in files[:-1]:
        if total <= MAX_BYTES:
            break
        total -= path.stat().st_size
        path.unlink()
