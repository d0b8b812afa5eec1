"""Intervals over cases: that they cover what they promise, and what is said about the order."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from grainspec_runtime.bench import bootstrap
from grainspec_runtime.bench.bootstrap import difference, interval, order_of


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(bootstrap).failed == 0


def test_intervals_cover_the_true_mean_about_as_often_as_they_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 500)
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        found = interval(list(rng.normal(5, 2, 30)))
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 5 <= found.high
    assert 0.89 < covered / 300 < 0.98


def test_the_width_is_that_of_the_mean_s_distribution() -> None:
    values = list(np.random.default_rng(1).normal(0, 3, 400))
    found = interval(values)
    assert found is not None
    assert found.high is not None
    assert found.low is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * 3 / 20, rel=0.12)
    assert interval(values) == found  # the same draws every time


def test_paired_differences_are_sure_where_means_overlap() -> None:
    """Cases differ far more than methods do: only the pairs show the difference."""
    rng = np.random.default_rng(2)
    cases = rng.normal(50, 20, 24)
    first, second = list(cases + 1 + rng.normal(0, 0.5, 24)), list(cases)
    alone = [interval(values) for values in (first, second)]
    assert alone[0].low < alone[1].high  # type: ignore[union-attr,operator]
    paired = difference(first, second)
    assert paired is not None
    assert paired.excludes_zero
    assert paired.mean == pytest.approx(1, abs=0.3)


def test_cases_without_a_value_are_left_out_of_the_pairs() -> None:
    first: list[float | None] = [1.0, None, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    second: list[float | None] = [0.0, 9.0, None, 3.0, 4.0, 5.0, 6.0, 7.0]
    paired = difference(first, second)
    assert paired is not None
    assert (paired.mean, paired.cases) == (1, 6)
    assert difference([None], [1.0]) is None


def test_the_order_says_what_is_sure_and_what_is_not() -> None:
    rng = np.random.default_rng(3)
    base = rng.normal(10, 1, 12)
    values: dict[str, list[float | None]] = {
        "best": list(base - 4),
        "good": list(base),
        "alike": list(base + rng.normal(0, 1, 12) - 0.01),
        "unknown": [None] * 12,
    }
    lines = order_of(values, higher_is_better=False).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("best (")
    assert ") is better than " in lines[0]
    assert " are not told apart (" in lines[1]
    assert "unknown" not in "".join(lines)
    upward = order_of(values, higher_is_better=True).splitlines()
    assert upward[-1].split(" is better than ")[1].startswith("best")
    few = order_of({"a": [1.0, 2.0], "b": [0.0, 1.0]}, higher_is_better=True)
    assert "too few cases (2)" in few
