"""What each invariant says, in a sentence: the first of its docstring."""

from __future__ import annotations

import inspect

from grainspec.testing.invariants import INVARIANTS


def sentences() -> dict[str, str]:
    """The first paragraph of every invariant's docstring, by name, in the order of checking.

    >>> sentences()["determinism"]
    'Compiling twice gives the same plan.'
    """
    return {
        name: " ".join((inspect.getdoc(check) or "").split("\n\n")[0].split())
        for name, check in INVARIANTS.items()
    }
