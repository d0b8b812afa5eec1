"""Numbers as text: without exponents, and exact in both directions."""

from __future__ import annotations

from decimal import Decimal
from math import floor


def decimal_text(value: float) -> str:
    """The shortest text of a number that is exact.

    >>> decimal_text(1e-7), decimal_text(50.0)
    ('0.0000001', '50')
    """
    return _plain(Decimal(repr(float(value))))


def percent_text(share: float) -> str:
    """A share in percent; :func:`share_of_percent` gives the same share back.

    >>> percent_text(0.07)
    '7%'
    """
    return _plain(Decimal(repr(float(share))) * 100) + "%"


def share_of_percent(text: str) -> float:
    """The share of a percentage, rounded once: ``'7%'`` is 0.07."""
    return float(text.removesuffix("%") + "e-2")


def first_steps(share: float, steps: int) -> int:
    """How many of ``steps`` a share is, counted from the first.

    Rounded to the nearest number, a half upwards, and at least one for any share but 0.

    >>> first_steps(0.3, 50), first_steps(0.01, 10), first_steps(0, 10)
    (15, 1, 0)
    """
    nearest = floor(round(share * steps, 9) + 0.5)  # 9 digits: 0.29 * 50 is just below 14.5
    return max(nearest, 1 if share else 0)


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
