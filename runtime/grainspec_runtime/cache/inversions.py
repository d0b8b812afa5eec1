"""Cached inversions, so that another edit of the same clip skips its inversion."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from grainspec.remote.files import Moved, unseen
from grainspec_runtime.cache.store import Warn, load_entry, save_entry

KIND = "inversion"

Trajectories = dict[str, npt.NDArray[np.float32]]
"""Trajectories by key, in memory."""


def inversion_key(latents: Tensor, facts: Mapping[str, Any]) -> str:
    """Hash everything that an inversion depends on: the clip's latents and the settings."""
    sha = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    sha.update(latents.float().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def load_inversion(key: str, warn: Warn, moved: Moved = unseen) -> Tensor | None:
    """Load a cached trajectory onto the CPU, or None; ``warn`` receives G512 if it is damaged.

    ``moved`` receives the megabytes that come from a shared cache.
    """
    trajectory = (load_entry(KIND, key, warn, moved) or {}).get("trajectory")
    return None if trajectory is None else trajectory.float()


def save_inversion(
    key: str,
    trajectory: Tensor,
    about: Mapping[str, str],
    warn: Warn = lambda finding: None,
    moved: Moved = unseen,
) -> None:
    """Save a trajectory; does nothing if the cache is not writable.

    ``moved`` receives the megabytes that go to a shared cache, and ``warn`` G759 if that fails.
    """
    save_entry(KIND, key, {"trajectory": trajectory}, about, warn, moved)
