"""The cache folder of this machine, and the URL of a cache that machines share."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from grainspec.remote.address import is_url

VARIABLE = "GRAINSPEC_CACHE"


def cache_folder() -> Path:
    """Return ``$GRAINSPEC_CACHE`` if it is a path, otherwise the user's cache folder for grainspec.

    For a user without a home, as in some containers, it is a path that cannot exist: nothing is
    cached. A folder that all users share would let others decide what is in it.
    """
    named = os.environ.get(VARIABLE)
    if named and not is_url(named):
        return Path(named)
    try:
        folder = Path(platformdirs.user_cache_dir("grainspec"))
    except RuntimeError:
        folder = Path()
    return folder if folder.is_absolute() else Path(os.devnull) / "grainspec"


def shared_cache() -> str | None:
    """Return ``$GRAINSPEC_CACHE`` if it is a URL: of a cache of inversions that machines share."""
    named = os.environ.get(VARIABLE)
    return named.rstrip("/") if named and is_url(named) else None


def fetched_files() -> Path:
    """Return the folder for copies of remote files, absolute."""
    return cache_folder().absolute() / "fetched"
