"""Blocks of settings, each setting with values of its kind and in its range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from grainspec.model.declaration import Declaration, fields_of
from grainspec.model.nodes import Node
from grainspec.model.shapes import FrameRange, Length
from grainspec.testing.strategies.values import Rolls

Read = Callable[[Rolls], Any]
"""Reads a value from drawn bytes."""

Settings = Callable[[Rolls], dict[str, Any]]
"""Reads some settings of a block, by the keys of its model."""


def settings(model: type[Node], levels: Sequence[int], **own: Read | None) -> Settings:
    """Some of a block's settings, by the keys of its model.

    ``own`` replaces how single settings are read, named as in the builder; None omits one. The
    value before the brace is omitted unless ``own`` has it. ``levels`` are those to choose from.

    >>> from grainspec.model.settings.sampler import Sampler
    >>> settings(Sampler, range(4))(Rolls(bytes([0, 5, 0, 0, 1])))
    {'steps': 1, 'eta': 0.0}
    """
    reads: dict[str, Read] = {}
    for declared in fields_of(model).values():
        if declared.argument in own:
            read = own[declared.argument]
        else:
            read = None if declared.head else value(declared, tuple(levels))
        if read is not None:
            reads[declared.key] = read

    def chosen(rolls: Rolls) -> dict[str, Any]:
        every = 2 ** len(reads) - 1
        bits, more, dense = rolls.upto(every), rolls.upto(every), rolls.upto(3)
        bits = (bits & more, bits, bits | more, bits | more)[dense]
        return {
            key: read(rolls) for index, (key, read) in enumerate(reads.items()) if bits >> index & 1
        }

    return chosen


@cache
def value(declared: Declaration, levels: tuple[int, ...]) -> Read:
    """How a setting's value is read; the simplest is its default, if it has one.

    >>> from grainspec.model.declaration import settings_of
    >>> from grainspec.model.settings.sampler import Sampler
    >>> value(settings_of(Sampler)["guidance"], ())(Rolls(b""))
    7.5
    """
    if declared.kind == "levels":
        return lambda rolls: _levels(rolls, levels)
    if declared.kind == "layers":
        return _layers
    return _VALUES[declared.kind](declared)


def _levels(rolls: Rolls, levels: Sequence[int]) -> str | tuple[int, ...]:
    if rolls.of((True, False, False)):
        return "all"
    return tuple(rolls.of(levels) for _ in range(rolls.of((1, 1, 2, 3))))


def _layers(rolls: Rolls) -> str | tuple[int, ...]:
    """All layers, some in a row, or some single ones."""
    first = rolls.upto(30)
    row = range(first, first + 1 + rolls.upto(29))
    kinds: tuple[str | tuple[int, ...], ...] = ("all", (*row,), (first,), (first, *row[2::3]))
    return rolls.of(kinds)


def _numbers(declared: Declaration) -> Read:
    low, high, simplest = declared.low or 0, declared.high or 1, declared.default or 0
    least = max(low, 0.01) if declared.above else low
    return lambda rolls: rolls.number(least, high, simplest)


def length(rolls: Rolls, low: float, high: float, units: Sequence[str] = ("px", "%")) -> Length:
    """Read a length between two values."""
    return Length.model_validate({"value": rolls.number(low, high), "unit": rolls.of(units)})


def _frames(rolls: Rolls) -> FrameRange:
    first = rolls.upto(20)
    return FrameRange(first=first, last=first + rolls.of((30, 0, 1)))


_VALUES: dict[str, Callable[[Declaration], Read]] = {
    "whole": lambda declared: (
        lambda rolls: rolls.whole(int(declared.low or 0), int(declared.high or 0))
    ),
    "decimal": _numbers,
    "percent": _numbers,
    "choice": lambda declared: lambda rolls: rolls.of(declared.choices),
    "text": lambda declared: Rolls.text,
    "path": lambda declared: Rolls.text,
    "flag": lambda declared: lambda rolls: True,
    "length": lambda declared: lambda rolls: length(rolls, 0, 40),
    "frames": lambda declared: _frames,
}
"""How values are read, by the kind of setting; callers read ``size`` and ``box`` themselves."""
