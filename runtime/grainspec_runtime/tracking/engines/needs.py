"""What the model engines need of the installed packages."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from grainspec.diagnostics import fail

_FAULTY = (5, 0)
"""Of this version, the video classes of SAM 2's kind raise an AttributeError on every frame."""


def lacks(transformers: tuple[int, int], *packages: str, video: bool = False) -> str:
    """Return why an engine cannot run here; empty if it can.

    ``transformers`` is the first version that has its classes; ``packages`` are others that it
    needs. ``video`` is for the classes that are faulty in one version. Nothing is imported.
    """
    if find_spec("torch") is None:
        return "it requires torch, which is not installed: pip install 'grainspec[runtime]'"
    installed = installed_transformers()
    if installed == _FAULTY and video:
        return f"its classes are faulty in transformers 5.0: {_install((5, 1))}"
    if installed is None or installed < transformers:
        first = ".".join(map(str, transformers))
        here = f"{version('transformers')} is" if installed else "it is not"
        return (
            f"it requires transformers {first} or later; {here} installed: {_install(transformers)}"
        )
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        names = " and ".join(missing)
        be = "is" if len(missing) == 1 else "are"
        return f"it requires {names}, which {be} not installed: pip install {' '.join(missing)}"
    return ""


def installed_transformers() -> tuple[int, ...] | None:
    """The first two numbers of the installed version of transformers; None without it."""
    try:
        return tuple(map(int, re.findall(r"\d+", version("transformers"))[:2]))
    except PackageNotFoundError:
        return None


def engine_version(revision: str) -> str:
    """The version of an engine whose classes are those of transformers.

    ``revision`` changes whenever the engine's own code may give other results.
    """
    return f"{revision}, transformers {version('transformers')}"


def _install(transformers: tuple[int, int]) -> str:
    return f"pip install 'transformers>={transformers[0]}.{transformers[1]}'"


def require(engine: str, why_not: str) -> None:
    """Raise GrainError (G533) if there is a reason why an engine cannot run here."""
    if why_not:
        reason, _, command = why_not.rpartition(": ")
        raise fail("G533", f"`{engine}` cannot run here: {reason}", f"Install it: `{command}`.")
