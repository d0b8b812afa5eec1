"""Numbers of a network's layers as a short list: three or more in a row are one range."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

MAX_LAYER = 255


def as_ranges(numbers: Iterable[int]) -> list[int | str]:
    """Numbers in their order, with a range for three or more that follow each other.

    >>> as_ranges([0, 1, 2, 3, 7, 8, 12])
    ['0..3', 7, 8, 12]
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    short: list[int | str] = []
    for run in runs:
        short += [f"{run[0]}..{run[-1]}"] if len(run) > 2 else run
    return short


def ranges_text(numbers: Iterable[int]) -> str:
    """Numbers as the language writes them.

    >>> ranges_text([0, 1, 2, 3, 7, 9])
    '0..3 7 9'
    """
    return " ".join(map(str, as_ranges(numbers)))


def without_ranges(items: Any) -> Any:
    """The numbers that :func:`as_ranges` shortened; what is not a range stays as it is.

    >>> without_ranges(["0..3", 7])
    (0, 1, 2, 3, 7)
    """
    if not isinstance(items, list | tuple):
        return items
    numbers: list[Any] = []
    for item in items:
        if len(numbers) > MAX_LAYER + 1:
            break  # too long in any case: a document may have many thousand ranges
        match = re.fullmatch(r"(\d{1,3})\.\.(\d{1,3})", item) if isinstance(item, str) else None
        first, last = map(int, match.groups()) if match else (0, -1)
        numbers += range(first, last + 1) if first <= last <= MAX_LAYER else [item]
    return tuple(numbers)
