"""The size limit of the cache, from the environment, a saved setting, or the default."""

from __future__ import annotations

import contextlib
import os
import re

from grainspec.diagnostics import fail
from grainspec.regular_file import read_bytes
from grainspec.whole_file import whole_file
from grainspec_runtime.cache.folder import cache_folder

DEFAULT_LIMIT = 4_000_000_000
VARIABLE = "GRAINSPEC_CACHE_LIMIT"
_FILE = "limit"
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_SIZE = re.compile(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?b)?\s*", re.IGNORECASE | re.ASCII)


def cache_limit() -> int:
    """Return the size limit of the cache in bytes.

    The limit is ``$GRAINSPEC_CACHE_LIMIT``, such as ``500MB``, if set, otherwise the value saved by
    :func:`set_cache_limit`, otherwise 4 GB. Raises GrainError (G202) if the variable is invalid.
    """
    named = os.environ.get(VARIABLE)
    if named:
        try:
            return size_in_bytes(named)
        except ValueError as error:
            message = f"the environment variable {VARIABLE} has an {error}"
            raise fail("G202", message, f"Set a size: `{VARIABLE}=4GB`.") from error
    with contextlib.suppress(OSError, ValueError):
        return size_in_bytes(read_bytes(cache_folder() / _FILE, 64).decode("ascii"))
    return DEFAULT_LIMIT


def set_cache_limit(limit: int) -> None:
    """Save the size limit of the cache, in bytes; raises OSError if it cannot be written."""
    place = cache_folder() / _FILE
    place.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(place) as partial:
        partial.write_text(f"{limit}\n", encoding="ascii")


def size_in_bytes(text: str) -> int:
    """Parse a size such as ``500MB`` into bytes; raises ValueError for anything else.

    >>> size_in_bytes("1.5 GB"), size_in_bytes("200mb"), size_in_bytes("0")
    (1500000000, 200000000, 0)
    """
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError(f"invalid size `{text[:40]}`")
    return round(float(match[1]) * _UNITS[(match[2] or "").lower()])


def shown_size(size: int) -> str:
    """Format a number of bytes for reading.

    >>> shown_size(53_477_376), shown_size(999), shown_size(4_000_000_000)
    ('53 MB', '999 B', '4.0 GB')
    """
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            value = size / factor
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{size} B"
