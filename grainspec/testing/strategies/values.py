"""Numbers and choices in as few draws as possible."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from hypothesis import strategies as st

_FRACTIONS = 9973
"""How many steps a range is divided into for numbers that are not round; a prime."""


@cache
def numbers(low: float, high: float, simplest: float = 0) -> st.SearchStrategy[float]:
    """Numbers in a range, with a single draw: multiples of 0.01, and others."""
    least, most = math.ceil(low * 100), math.floor(high * 100)
    many = most - least + 1 + _FRACTIONS
    first = min(max(0, round(simplest * 100) - least), most - least)

    def number(n: int) -> float:
        n = least + (n + first) % many
        if n <= most:
            return n / 100
        return min(high, low + (high - low) * (n - most) / _FRACTIONS)

    return st.integers(0, many - 1).map(number)


@cache
def some(**settings: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the settings, chosen by a single number; the simplest choice is none."""

    @st.composite
    def chosen(draw: st.DrawFn) -> dict[str, Any]:
        bits = draw(st.integers(0, 2 ** len(settings) - 1))
        return {
            name: draw(setting)
            for index, (name, setting) in enumerate(settings.items())
            if bits >> index & 1
        }

    return chosen()
