"""The same compiled once more."""

from __future__ import annotations

import numpy as np

from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.registry import invariant


@invariant("determinism")
def determinism(case: Case) -> None:
    """Compiling twice gives the same plan, and leaves the layout as it is."""
    before = case.layout.bits_FHW.copy()
    again = case.again()
    if not np.array_equal(before, case.layout.bits_FHW):
        raise Broken("determinism", "the compiler changed the layout that it was given")
    if again != case.plan:
        raise Broken("determinism", "compiling a second time gave another plan")
