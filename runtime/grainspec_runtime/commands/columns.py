"""Format tables as plain text."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align a table, one line per row: the first column to the left, the others to the right.

    >>> aligned([["", "one", "two"], ["long name", "1", "22"]])
    ['           one  two', 'long name    1   22']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]
