"""How sure a benchmark's means and differences are: bootstrap intervals over its cases.

The percentile bootstrap (Efron, 1979): cases are drawn with replacement many times, and the
interval holds the middle 95 % of the means of these draws. Methods edit the same cases, so two
methods are compared over the cases that both have, by the difference of their means over the same
draws of cases. What papers publish as the quotient of two means (:class:`Quotient`) is one here,
too: a mean of quotients would be that of the few cases with a small denominator.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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


@dataclass(frozen=True, slots=True)
class Quotient:
    """A measure that is the mean of one over the mean of another, each case by case."""

    above: Sequence[float | None]
    below: Sequence[float | None]


Values = Sequence[float | None] | Quotient
"""A method's values of a measure, case by case; None where a case has none."""


def interval(values: Values, *, seed: int = 0) -> Interval | None:
    """The mean of the cases that have a value, with its interval; None if none has one.

    >>> interval([3.0] * 8)
    Interval(mean=3.0, low=3.0, high=3.0, cases=8)
    >>> interval([1.0, 2.0, None])
    Interval(mean=1.5, low=None, high=None, cases=2)
    >>> interval(Quotient([1.0, 9.0], [1.0, 3.0])).mean
    2.5
    """
    rows_KC = _rows(values)
    return _interval([rows_KC[:, _known(rows_KC)]], seed)


def difference(first: Values, second: Values, *, seed: int = 0) -> Interval | None:
    """The mean of ``first`` less that of ``second`` over the cases that have both, with interval.

    >>> difference([5.0] * 6, [3.0] * 6).mean
    2.0
    """
    one_KC, other_KC = _rows(first), _rows(second)
    both = _known(one_KC) & _known(other_KC)
    return _interval([one_KC[:, both], other_KC[:, both]], seed)


def mean_of(values: Values) -> float | None:
    """The mean of the cases that have a value; None if none has one.

    >>> mean_of([1.0, None, 2.0]), mean_of(Quotient([6.0, 2.0], [1.0, 3.0])), mean_of([])
    (1.5, 2.0, None)
    """
    rows_KC = _rows(values)
    known_KC = rows_KC[:, _known(rows_KC)]
    return float(_means(known_KC)) if known_KC.shape[1] else None


def is_measured(values: Values) -> bool:
    """Whether any case has a value."""
    return bool(_known(_rows(values)).any())


def _rows(values: Values) -> npt.NDArray[np.float64]:
    """(K, C): the values by case, NaN for none; of a quotient its two parts."""
    parts = [values.above, values.below] if isinstance(values, Quotient) else [values]
    return np.array([[math.nan if it is None else it for it in part] for part in parts], np.float64)


def _known(rows_KC: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    return np.asarray(~np.isnan(rows_KC).any(0))


def _means(rows_KN: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The means over the last axis, or the quotient of two of them."""
    means = rows_KN.mean(-1)
    return np.asarray(means[0] if len(means) == 1 else means[0] / means[1])


def _interval(rows: Sequence[npt.NDArray[np.float64]], seed: int) -> Interval | None:
    """The mean of the first rows, less that of the second ones if there are any."""
    count = rows[0].shape[-1]
    if not count:
        return None
    signs = (1, -1)
    mean = float(sum(sign * _means(it) for sign, it in zip(signs, rows, strict=False)))
    if count < LEAST_CASES:
        return Interval(mean, None, None, count)
    draws = np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))
    drawn = sum(sign * _means(it[:, draws]) for sign, it in zip(signs, rows, strict=False))
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return Interval(mean, float(low), float(high), count)


def order_of(values: Mapping[str, Values], *, higher_is_better: bool, digits: int = 2) -> str:
    """State the order of methods by a measure: which differences are certain, and which are not.

    ``values`` are those of each method, case by case in the same order.

    >>> print(order_of({"a": [1.0] * 6, "b": [3.0] * 6}, higher_is_better=True))
    b (3.00) is better than a (1.00) by 2.00 (95 %: 2.00 to 2.00, 6 cases).
    """
    means = {name: interval(of_method) for name, of_method in values.items()}
    known = {name: it for name, it in means.items() if it is not None}
    sign = 1 if higher_is_better else -1
    names = sorted(known, key=lambda name: -sign * known[name].mean)
    if len(names) < 2:
        return "Fewer than two methods have values."
    cases = max(it.cases for it in known.values())
    if cases < LEAST_CASES:
        chain = ", ".join(f"{name} ({known[name].mean:.{digits}f})" for name in names)
        return f"{chain}: too few cases ({cases}) to tell them apart."
    return "\n".join(
        _compared(known, values, better, worse, sign, digits)
        for better, worse in itertools.pairwise(names)
    )


def _compared(
    known: Mapping[str, Interval],
    values: Mapping[str, Values],
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
        return f"{pair[0]} is better than {pair[1]} by {sign * gap.mean:.{digits}f} ({bounds})."
    return f"{pair[0]} and {pair[1]} are not told apart ({bounds})."
