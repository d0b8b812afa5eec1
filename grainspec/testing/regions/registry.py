"""The properties of binding by name."""

from __future__ import annotations

from collections.abc import Callable

from grainspec.testing.regions.binding import Binding

Property = Callable[[Binding], None]
"""A function that raises :class:`grainspec.testing.Broken` if binding is not correct."""

REGION_PROPERTIES: dict[str, Property] = {}
"""All properties of :func:`grainspec.testing.check_regions` by name, in the order of checking."""


def binding_property(name: str) -> Callable[[Property], Property]:
    """Declare a function as the property ``name``."""

    def register(check: Property) -> Property:
        REGION_PROPERTIES[name] = check
        return check

    return register
