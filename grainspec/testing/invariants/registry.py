"""The invariants of mask plans by name, and how to declare one."""

from __future__ import annotations

from collections.abc import Callable

from grainspec.testing.case import Case

Invariant = Callable[[Case], None]
"""A function that raises :class:`grainspec.testing.Broken` if the case's plan is not correct."""

INVARIANTS: dict[str, Invariant] = {}
"""All invariants by name, in the order of checking."""


def invariant(name: str) -> Callable[[Invariant], Invariant]:
    """Declare a function as the invariant ``name``, which every check then includes.

    >>> from grainspec.testing import Broken
    >>> @invariant("one edit")
    ... def one_edit(case):
    ...     if len(case.plan.edits) != 1:
    ...         raise Broken("one edit", f"the plan has {len(case.plan.edits)} edits")
    >>> _ = INVARIANTS.pop("one edit")
    """

    def register(check: Invariant) -> Invariant:
        INVARIANTS[name] = check
        return check

    return register
