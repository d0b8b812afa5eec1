"""What the model engines need of the installed packages."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from grainspec.diagnostics import fail


def lacks(transformers: tuple[int, int], *packages: str) -> str:
    """Return why an engine cannot run here; empty if it can.

    ``transformers`` is the first version that has its classes; ``packages`` are others that it
    needs, by the names of their distributions. Nothing is imported.
    """
    first = ".".join(map(str, transformers))
    if find_spec("torch") is None:
        return "it requires torch, which is not installed: pip install 'grainspec[runtime]'"
    install = f"pip install 'transformers>={first}'"
    try:
        installed = version("transformers")
    except PackageNotFoundError:
        return f"it requires transformers {first} or later, which is not installed: {install}"
    if _numbers(installed) < transformers:
        return f"it requires transformers {first} or later; {installed} is installed: {install}"
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        names = " and ".join(missing)
        be = "is" if len(missing) == 1 else "are"
        return f"it requires {names}, which {be} not installed: pip install {' '.join(missing)}"
    return ""


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)[:2]))


def require(engine: str, why_not: str) -> None:
    """Raise GrainError (G533) if there is a reason why an engine cannot run here."""
    if why_not:
        reason, _, command = why_not.rpartition(": ")
        raise fail("G533", f"`{engine}` cannot run here: {reason}", f"Install it: `{command}`.")
