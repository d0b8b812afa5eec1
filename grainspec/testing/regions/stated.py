"""Frames on which a spec itself says that a region is empty."""

from __future__ import annotations

from grainspec.model.expressions import (
    Difference,
    During,
    Expression,
    Grown,
    Intersection,
    MaskFiles,
    Reference,
    Smoothed,
    Union,
)
from grainspec.testing.regions.binding import Binding


def stated_empty(binding: Binding, name: str, frame: int) -> bool:
    """Whether `during`, or `missing empty` where there is no mask, leaves a region empty."""
    return _empty(binding, binding.spec.region(name).expression, frame)


def _empty(binding: Binding, node: Expression, frame: int) -> bool:
    if isinstance(node, During):
        within = node.frames.first <= frame <= node.frames.last
        return not within or _empty(binding, node.of, frame)
    if isinstance(node, Reference):
        return stated_empty(binding, node.name, frame)
    if isinstance(node, Grown):
        return _empty(binding, node.of, frame)
    if isinstance(node, Smoothed):
        around = binding.around(frame, node.frames)
        count = sum(_empty(binding, node.of, near) for near in around)
        return 2 * count > len(around) or (
            2 * count == len(around) and _empty(binding, node.of, frame)
        )
    if isinstance(node, Difference):
        return _empty(binding, node.items[0], frame)
    if isinstance(node, Union):
        return all(_empty(binding, item, frame) for item in node.items)
    if isinstance(node, Intersection):
        return any(_empty(binding, item, frame) for item in node.items)
    if isinstance(node, MaskFiles):
        return _is_missing(binding, node, frame)
    return False


def _is_missing(binding: Binding, source: MaskFiles, frame: int) -> bool:
    """Whether there is no picture for a frame; of other masks, what binding noticed."""
    if source.missing != "empty":
        return False
    folder = binding.base / source.path
    if folder.is_dir() and binding.facts.first == 0:
        numbers = [file.stem for file in folder.iterdir()]
        if all(number.isdecimal() for number in numbers):
            return frame not in map(int, numbers)
    assert binding.bound
    return frame in binding.bound.notes.missing.get(source, ())
