"""Inversions in the cache, so that other words for the same clip start at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from grainspec_runtime.cache.store import Warn, load_entry, save_entry

KIND = "inversion"


def inversion_key(latents: Tensor, facts: Mapping[str, Any]) -> str:
    """A hash of everything an inversion depends on: the clip's latents and the settings."""
    sha = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    sha.update(latents.float().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def load_inversion(key: str, warn: Warn) -> Tensor | None:
    """A cached trajectory, on the CPU, or None; of a damaged one ``warn`` is told (G512)."""
    found = (load_entry(KIND, key, warn) or {}).get("trajectory")
    return None if found is None else found.float()


def save_inversion(key: str, trajectory: Tensor, about: Mapping[str, str]) -> None:
    """Keep a trajectory; quietly does nothing where the cache cannot be written."""
    save_entry(KIND, key, {"trajectory": trajectory}, about)
