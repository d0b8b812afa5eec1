"""Cached inversions, so that another edit of the same clip skips its inversion."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from grainspec_runtime.cache.store import Warn, load_entry, save_entry

KIND = "inversion"


def inversion_key(latents: Tensor, facts: Mapping[str, Any]) -> str:
    """Hash everything that an inversion depends on: the clip's latents and the settings."""
    sha = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    sha.update(latents.float().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def load_inversion(key: str, warn: Warn) -> Tensor | None:
    """Load a cached trajectory onto the CPU, or None; ``warn`` receives G512 if it is damaged."""
    trajectory = (load_entry(KIND, key, warn) or {}).get("trajectory")
    return None if trajectory is None else trajectory.float()


def save_inversion(key: str, trajectory: Tensor, about: Mapping[str, str]) -> None:
    """Save a trajectory; does nothing if the cache is not writable."""
    save_entry(KIND, key, {"trajectory": trajectory}, about)
