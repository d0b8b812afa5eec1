"""The sampling steps at which a control is active."""

from __future__ import annotations


def is_active(start: float, until: float, *, step: int, steps: int) -> bool:
    """Return whether a control from ``start`` until ``until`` is active, by the rule of diffusers.

    ``start`` and ``until`` are shares of the steps.

    >>> [is_active(0, 0.5, step=step, steps=4) for step in range(4)]
    [True, True, False, False]
    """
    return step / steps >= start and (step + 1) / steps <= until
