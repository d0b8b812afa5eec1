"""Which of the objects that a finder finds are meant."""

from __future__ import annotations

from collections.abc import Sequence

from grainspec.diagnostics import GrainError, fail
from grainspec.model.expressions import Find
from grainspec.model.numbers import percent_text
from grainspec_runtime.tracking.engine import Detection

Box = tuple[float, float, float, float]

_TWICE = 0.7
"""The overlap from which two boxes of the same words are one object that was found twice."""


def chosen(find: Find, detections: Sequence[Detection], frame: int) -> list[Detection]:
    """The objects that a ``find`` means, from left to right, of all that were found on a frame.

    Boxes that overlap by more than 70% of their union are one object. Raises GrainError (G359) if
    there is none, or fewer than its number.
    """
    hits = _distinct([hit for hit in detections if hit.score >= find.score])
    hits.sort(key=lambda hit: (hit.box[0] + hit.box[2], hit.box))
    if not hits:
        raise _nothing(find, detections, frame)
    if find.number is not None:
        if find.number > len(hits):
            raise _too_few(find, len(hits), frame)
        return [hits[find.number - 1]]
    if find.choice == "leftmost":
        return hits[:1]
    if find.choice == "rightmost":
        return hits[-1:]
    if find.choice == "largest":
        return [max(hits, key=lambda hit: _area(hit.box))]
    return hits


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """The intersection of two boxes over their union.

    >>> overlap((0, 0, 2, 2), (1, 0, 3, 2))
    0.3333333333333333
    """
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, wide) * max(0.0, high)
    union = _area(one) + _area(other) - shared
    return shared / union if union > 0 else 0.0


def _distinct(hits: Sequence[Detection]) -> list[Detection]:
    """The hits without those that overlap a better one."""
    kept: list[Detection] = []
    for hit in sorted(hits, key=lambda hit: -hit.score):
        if all(overlap(hit.box, better.box) <= _TWICE for better in kept):
            kept.append(hit)
    return kept


def _area(box: Sequence[float]) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _nothing(find: Find, detections: Sequence[Detection], frame: int) -> GrainError:
    message = f'`find("{find.words}")` finds nothing on frame {frame}'
    cure = "Write the plain name of one kind of thing, or name another frame with `@`."
    best = max((hit.score for hit in detections), default=0.0)
    if best > 0:
        message += f": the best score is {best:.0%}, below `score {percent_text(find.score)}`"
    if best >= 0.05:
        cure = f"{cure[:-1]}, or write `score {int(best * 100)}%`."
    return fail("G359", message, cure, find.span)


def _too_few(find: Find, count: int, frame: int) -> GrainError:
    objects = "only one object" if count == 1 else f"only {count} objects"
    message = f'`find("{find.words}")` finds {objects} on frame {frame}, and has no '
    message += f"`number {find.number}`"
    return fail("G359", message, f"Write `number {count}` or less.", find.span)
