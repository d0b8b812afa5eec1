"""Frames on which a region is empty because the spec says so, which needs no warning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from grainspec.diagnostics import Diagnostic
from grainspec.model.expressions import (
    Difference,
    During,
    Expression,
    Find,
    Grown,
    Intersection,
    MaskFiles,
    Reference,
    Smoothed,
    Track,
    Union,
)
from grainspec.regions.smoothing import neighbours


@dataclass
class MaskNotes:
    """What binding noticed about mask files, and what follows for the regions.

    ``missing`` has the frames without a mask where `missing empty` allows that, and those on which
    a tracked object is lost, of which another finding warns; ``absent`` the frames on which each
    region is empty as stated, by the region's name.
    """

    warnings: list[Diagnostic] = field(default_factory=list)
    missing: dict[MaskFiles | Track | Find, set[int]] = field(default_factory=dict)
    absent: dict[str, Set[int]] = field(default_factory=dict)

    def note(self, name: str, expression: Expression, frames: Sequence[int]) -> None:
        """Note the frames on which a region is empty as stated; those it refers to come first."""
        self.absent[name] = _absent(expression, frozenset(frames), self.missing, self.absent)


def _absent(
    expression: Expression,
    frames: Set[int],
    missing: Mapping[MaskFiles | Track | Find, Set[int]],
    named: Mapping[str, Set[int]],
) -> Set[int]:
    """The frames on which `during` or `missing empty` says that an expression is empty."""

    def of(inner: Expression) -> Set[int]:
        return _absent(inner, frames, missing, named)

    if isinstance(expression, During):
        return of(expression.of) | {frame for frame in frames if frame not in expression.frames}
    if isinstance(expression, MaskFiles | Track | Find):
        return missing.get(expression, frozenset())
    if isinstance(expression, Reference):
        return named.get(expression.name, frozenset())
    if isinstance(expression, Grown):
        return of(expression.of)
    if isinstance(expression, Smoothed):
        return _mostly(of(expression.of), sorted(frames), expression.frames)
    if isinstance(expression, Difference):
        return of(expression.items[0])
    if isinstance(expression, Union):
        return frozenset.intersection(*map(frozenset, map(of, expression.items)))
    if isinstance(expression, Intersection):
        return frozenset().union(*map(of, expression.items))
    return frozenset()


def _mostly(absent: Set[int], frames: Sequence[int], window: int) -> Set[int]:
    """The frames around which a region is empty on so many frames that smoothing leaves nothing."""
    empty = [frame in absent for frame in frames]
    result = set()
    for index, frame in enumerate(frames):
        near = neighbours(index, len(frames), window)
        count = sum(empty[near.start : near.stop])
        if 2 * count > len(near) or (2 * count == len(near) and empty[index]):
            result.add(frame)
    return result
