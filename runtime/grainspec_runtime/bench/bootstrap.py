"""How sure a benchmark's means and differences are: bootstrap intervals over its cases.

The percentile bootstrap (Efron, 1979): cases are drawn with replacement many times, and the
interval holds the middle 95 % of the means of these draws. Methods edit the same cases, so two
methods are compared by the mean of their differences case by case, over the same draws of cases.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95
LEAST_CASES = 6
"""With fewer cases there are too few different draws for an interval to mean anything."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over ``cases`` cases and its interval; no bounds for fewer than LEAST_CASES."""

    mean: float
    low: float | None
    high: float | None
    cases: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the sign of the mean is certain at the level of the interval."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def as_json(self) -> dict[str, float | int | None]:
        """The values by name, rounded to six digits."""
        low, high = (None if x is None else round(x, 6) for x in (self.low, self.high))
        return {"mean": round(self.mean, 6), "low": low, "high": high, "cases": self.cases}


def interval(values: Sequence[float | None], *, seed: int = 0) -> Interval | None:
    """The mean of the cases that have a value, with its interval; None if none has one.

    >>> interval([3.0] * 8)
    Interval(mean=3.0, low=3.0, high=3.0, cases=8)
    >>> interval([1.0, 2.0, None])
    Interval(mean=1.5, low=None, high=None, cases=2)
    """
    known = np.array([value for value in values if value is not None], np.float64)
    if not len(known):
        return None
    mean, count = float(known.mean()), len(known)
    if count < LEAST_CASES:
        return Interval(mean, None, None, count)
    draws = np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(known[draws].mean(1), [tail, 100 - tail])
    return Interval(mean, float(low), float(high), count)


def difference(
    first: Sequence[float | None], second: Sequence[float | None], *, seed: int = 0
) -> Interval | None:
    """The mean of ``first - second`` over the cases that have both, with its interval.

    >>> difference([5.0] * 6, [3.0] * 6).mean
    2.0
    """
    pairs = zip(first, second, strict=True)
    return interval([None if a is None or b is None else a - b for a, b in pairs], seed=seed)


def order_of(
    values: Mapping[str, Sequence[float | None]], *, higher_is_better: bool, digits: int = 2
) -> str:
    """State the order of methods by a measure: which differences are certain, and which are not.

    ``values`` are those of each method, case by case in the same order.

    >>> print(order_of({"a": [1.0] * 6, "b": [3.0] * 6}, higher_is_better=True))
    b (3.00) > a (1.00): better by 2.00 (95 %: 2.00 to 2.00, 6 cases).
    """
    means = {name: interval(of_method) for name, of_method in values.items()}
    known = {name: it for name, it in means.items() if it is not None}
    sign = 1 if higher_is_better else -1
    names = sorted(known, key=lambda name: -sign * known[name].mean)
    if len(names) < 2:
        return "Fewer than two methods have values."
    return "\n".join(
        _compared(known, values, better, worse, sign, digits)
        for better, worse in itertools.pairwise(names)
    )


def _compared(
    known: Mapping[str, Interval],
    values: Mapping[str, Sequence[float | None]],
    better: str,
    worse: str,
    sign: int,
    digits: int,
) -> str:
    """One line about two neighbours in the order."""
    pair = [f"{name} ({known[name].mean:.{digits}f})" for name in (better, worse)]
    gap = difference(values[better], values[worse])
    if gap is None:
        return f"{pair[0]} and {pair[1]}: no case has values of both."
    if gap.low is None or gap.high is None:
        return f"{pair[0]} and {pair[1]}: too few cases ({gap.cases}) to tell them apart."
    low, high = sorted((sign * gap.low, sign * gap.high))
    bounds = f"95 %: {low:.{digits}f} to {high:.{digits}f}, {gap.cases} cases"
    if gap.excludes_zero and sign * gap.mean > 0:
        return f"{pair[0]} > {pair[1]}: better by {sign * gap.mean:.{digits}f} ({bounds})."
    return f"{pair[0]} ≈ {pair[1]}: not told apart ({bounds})."
