"""The cache folder."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return ``$GRAINSPEC_CACHE`` if set, otherwise the user's cache folder for grainspec.

    For a user without a home, as in some containers, it is a path that cannot exist: nothing is
    cached. A folder that all users share would let others decide what is in it.
    """
    named = os.environ.get("GRAINSPEC_CACHE")
    if named:
        return Path(named)
    try:
        folder = Path(platformdirs.user_cache_dir("grainspec"))
    except RuntimeError:
        folder = Path()
    return folder if folder.is_absolute() else Path(os.devnull) / "grainspec"
