"""The cache folder."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return ``$GRAINSPEC_CACHE`` if set, otherwise the user's cache folder for grainspec."""
    named = os.environ.get("GRAINSPEC_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("grainspec"))
