"""Whether the installed diffusers has all of Wan that the family needs."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

from grainspec.diagnostics import fail
from grainspec.diagnostics.span import Span

LOWEST = (0, 36)
"""The first diffusers with Wan's attention backends and VACE's second expert; 0.33 to 0.35 have
some of Wan."""


def check_diffusers(span: Span | None = None) -> None:
    """Raise GrainError (G529) if the installed diffusers is older; loads nothing of it."""
    try:
        installed = version("diffusers")
    except PackageNotFoundError:  # on the path without its metadata
        return
    if tuple(int(number) for number in re.findall(r"\d+", installed)[:2]) < LOWEST:
        lowest = ".".join(map(str, LOWEST))
        message = f"Wan requires diffusers {lowest} or newer, and {installed} is installed"
        raise fail("G529", message, "Install a newer one: `pip install -U diffusers`.", span)
