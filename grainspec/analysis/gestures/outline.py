"""Outlines drawn by hand, with as few points as show the same."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot

Places = Sequence[tuple[float, float]]

_CLOSE = 0.003
"""How far a simpler outline may be from what was drawn, as a share of the frame."""
_MOST = 60
"""The most points of an outline; a line of text has about ten."""


def simplified(points: Places) -> list[tuple[float, float]]:
    """A closed outline of few points (Ramer, Douglas and Peucker); fewer than three have no area.

    >>> simplified([(0, 0), (0.5, 0.0001), (1, 0), (1, 1)])
    [(0, 0), (1, 0), (1, 1)]
    """
    corners = [point for at, point in enumerate(points) if at == 0 or point != points[at - 1]]
    if len(corners) > 1 and corners[0] == corners[-1]:
        corners.pop()
    close, kept = _CLOSE, corners
    while len(corners) > 3:
        kept = _closed(corners, close)
        if len(kept) <= _MOST:
            break
        close *= 1.5
    return kept


def _closed(corners: Places, close: float) -> list[tuple[float, float]]:
    """The points to keep of a closed outline: those of its halves, first to farthest and back."""
    first = corners[0]
    far = max(
        range(len(corners)),
        key=lambda at: hypot(corners[at][0] - first[0], corners[at][1] - first[1]),
    )
    one, other = _open(corners[: far + 1], close), _open([*corners[far:], first], close)
    return [*one[:-1], *other[:-1]]


def _open(line: Places, close: float) -> list[tuple[float, float]]:
    """The points to keep of a line: its ends, and what is farther than ``close`` from it."""
    kept, waiting = {0, len(line) - 1}, [(0, len(line) - 1)]
    while waiting:
        start, end = waiting.pop()
        inner = range(start + 1, end)
        far = max(inner, key=lambda at: _distance(line[at], line[start], line[end]), default=None)
        if far is not None and _distance(line[far], line[start], line[end]) > close:
            kept.add(far)
            waiting += [(start, far), (far, end)]
    return [line[at] for at in sorted(kept)]


def _distance(
    point: tuple[float, float], start: tuple[float, float], end: tuple[float, float]
) -> float:
    """The distance of a point from a line segment."""
    (px, py), (ax, ay), (bx, by) = point, start, end
    length = (bx - ax) ** 2 + (by - ay) ** 2
    share = ((px - ax) * (bx - ax) + (py - ay) * (by - ay)) / length if length else 0.0
    share = min(1.0, max(0.0, share))
    return hypot(px - ax - share * (bx - ax), py - ay - share * (by - ay))
