"""The list of oddities: makers of files, by the name of what they make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Make = Callable[[Path], str | None]
"""Makes a case in a folder; returns the name of its spec if that is not ``edit.grain``."""

ODDITIES: dict[str, Make] = {}


def odd(name: str) -> Callable[[Make], Make]:
    """Register a maker by the name of what it makes."""

    def register(make: Make) -> Make:
        assert name not in ODDITIES, name
        ODDITIES[name] = make
        return make

    return register
