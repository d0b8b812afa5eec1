"""The properties that a file is tested for: of its plans, and of its regions."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from grainspec.testing.invariants import INVARIANTS
from grainspec.testing.regions import REGION_PROPERTIES


class Properties(NamedTuple):
    """Names of ``INVARIANTS`` and of ``REGION_PROPERTIES``, in the order of checking."""

    plans: tuple[str, ...]
    regions: tuple[str, ...]


def properties(names: Collection[str] | None = None) -> Properties:
    """The properties with these names, of plans and of regions; None means all.

    Raises ValueError for names that neither has.

    >>> properties(["words", "cropping"])
    Properties(plans=('words',), regions=('cropping',))
    """
    for name in names or ():
        if name not in INVARIANTS and name not in REGION_PROPERTIES:
            known = ", ".join({**INVARIANTS, **REGION_PROPERTIES})
            raise ValueError(f"unknown invariant {name}; there are {known}")
    return Properties(
        tuple(name for name in INVARIANTS if names is None or name in names),
        tuple(name for name in REGION_PROPERTIES if names is None or name in names),
    )
