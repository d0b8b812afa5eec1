"""What every model family promises, by name."""

from __future__ import annotations

from collections.abc import Callable

from grainspec.testing.broken import Broken
from grainspec_runtime.testing.family.subject import Subject

Property = Callable[[Subject], None]
"""A function that raises :class:`grainspec.testing.Broken` if a family breaks the promise."""

PROPERTIES: dict[str, Property] = {}
"""The properties of model families by name, in the order of checking."""


def family_property(name: str) -> Callable[[Property], Property]:
    """Declare a function as the property ``name``."""

    def register(check: Property) -> Property:
        PROPERTIES[name] = check
        return check

    return register


def require(condition: object, name: str, message: str, **where: object) -> None:
    """Raise Broken if a condition is false."""
    if not condition:
        raise Broken(name, message, **where)
