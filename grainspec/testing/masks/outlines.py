"""Masks as outlines and run lengths, as labelling tools write them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Frame = npt.NDArray[np.bool_]
Ring = list[tuple[int, int]]
Numbers = npt.NDArray[np.float64]


def runs_of(row: Frame) -> Iterator[tuple[int, int]]:
    """The first pixel of each run in a row, and the one after its last."""
    begin = None
    for place, inside in enumerate([*row.tolist(), False]):
        if inside and begin is None:
            begin = place
        elif not inside and begin is not None:
            yield begin, place
            begin = None


def ring_of(mask: Frame) -> Ring:
    """One outline around all pixels of a mask, by the even-odd rule.

    It leaves the frame's left edge in each row, goes around each run, and returns along the edge:
    what it passes twice counts as not passed.

    >>> ring_of(np.array([[0, 1]], bool))
    [(0, 0), (1, 0), (1, 1), (2, 1), (2, 0), (0, 0)]
    """
    ring: Ring = [(0, 0)]
    for y, row in enumerate(mask):
        runs = [*runs_of(row)]
        if runs:
            ring.append((0, y))
        for x0, x1 in runs:
            ring += [(x0, y), (x0, y + 1), (x1, y + 1), (x1, y)]
        if runs:
            ring.append((0, y))
    return [ring[0], *(two for one, two in pairwise(ring) if one != two)]


def boxes_of(mask: Frame) -> list[tuple[int, int, int, int]]:
    """A box for each run of each row: left, top, right, bottom."""
    return [(x0, y, x1, y + 1) for y, row in enumerate(mask) for x0, x1 in runs_of(row)]


def bounds_of(mask: Frame) -> tuple[int, int, int, int] | None:
    """The box around a mask: left, top, right, bottom; None if it is empty."""
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def columns_of(mask: Frame) -> list[int]:
    """COCO's run lengths: down the columns, the first run outside the region.

    >>> columns_of(np.array([[0, 1, 1], [0, 1, 0]], bool))
    [2, 3, 1]
    """
    return _lengths([pixel for column in mask.T.tolist() for pixel in column])


def rows_of(mask: Frame) -> list[int]:
    """CVAT's run lengths: along the rows, the first run outside the region."""
    return _lengths([pixel for row in mask.tolist() for pixel in row])


def _lengths(pixels: list[bool]) -> list[int]:
    lengths = [0]
    inside = False
    for pixel in pixels:
        if pixel != inside:
            inside = pixel
            lengths.append(0)
        lengths[-1] += 1
    return lengths


def compressed(lengths: list[int]) -> str:
    """COCO's compressed run lengths, as in its C code: base 32, differences from the fourth on."""
    text = ""
    for place, length in enumerate(lengths):
        value = length - lengths[place - 2] if place > 2 else length
        while True:
            low = value & 31
            value >>= 5
            more = value != (-1 if low & 16 else 0)
            text += chr(48 + low + 32 * more)
            if not more:
                break
    return text


def centres(shape: tuple[int, int]) -> tuple[Numbers, Numbers]:
    """x of each column and y of each row, at their middles, to be combined."""
    return np.arange(0.5, shape[1]), np.arange(0.5, shape[0])[:, None]
