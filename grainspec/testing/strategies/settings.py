"""Blocks of settings, each setting with values of its kind and in its range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from grainspec.model.declaration import Declaration, fields_of
from grainspec.model.nodes import Node
from grainspec.model.settings import MAX_LEVEL
from grainspec.model.shapes import FrameRange, Length
from grainspec.testing.strategies.values import numbers, some
from grainspec.testing.strategies.words import paths


def settings(
    model: type[Node], max_level: int = MAX_LEVEL, **own: st.SearchStrategy[Any] | None
) -> st.SearchStrategy[dict[str, Any]]:
    """Some of a block's settings, by the keys of its model.

    ``own`` replaces the strategies of single settings, named as in the builder; None omits one. The
    value before the brace is omitted unless ``own`` has a strategy for it. Levels are at most
    ``max_level``.

    >>> from grainspec.model.settings import Sampler
    >>> from hypothesis import find
    >>> find(settings(Sampler), lambda drawn: "steps" in drawn)
    {'steps': 1}
    """
    drawn = {}
    for declared in fields_of(model).values():
        if declared.argument in own:
            strategy = own[declared.argument]
        else:
            strategy = None if declared.head else values(declared, max_level)
        if strategy is not None:
            drawn[declared.key] = strategy
    return some(**drawn)


def values(declared: Declaration, max_level: int = MAX_LEVEL) -> st.SearchStrategy[Any]:
    """Values of a setting; the simplest is its default, if it has one.

    >>> from grainspec.model.declaration import settings_of
    >>> from grainspec.model.settings import Sampler
    >>> from hypothesis import find
    >>> find(values(settings_of(Sampler)["guidance"]), lambda scale: True)
    7.5
    """
    if declared.kind == "levels":
        listed = st.lists(st.integers(0, max_level), min_size=1, max_size=4).map(tuple)
        return st.just("all") | listed
    return _VALUES[declared.kind](declared)


def _numbers(declared: Declaration) -> st.SearchStrategy[float]:
    low, high = declared.low or 0, declared.high or 1
    return numbers(max(low, 0.01) if declared.above else low, high, declared.default or 0)


def _lengths(declared: Declaration) -> st.SearchStrategy[Length]:
    written = st.tuples(numbers(0, 40), st.sampled_from(["px", "%"]))
    return written.map(lambda drawn: Length.model_validate({"value": drawn[0], "unit": drawn[1]}))


_VALUES: dict[str, Callable[[Declaration], st.SearchStrategy[Any]]] = {
    "whole": lambda declared: st.integers(int(declared.low or 0), int(declared.high or 0)),
    "decimal": _numbers,
    "percent": _numbers,
    "choice": lambda declared: st.sampled_from(declared.choices),
    "text": lambda declared: paths(),
    "path": lambda declared: paths(),
    "flag": lambda declared: st.just(True),
    "length": _lengths,
    "frames": lambda declared: st.integers(0, 20).map(
        lambda first: FrameRange(first=first, last=first + 30)
    ),
}
"""Strategies by the kind of setting; callers supply their own for ``size`` and ``box``."""
