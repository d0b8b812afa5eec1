"""Region expressions and their sources."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import cycle, islice, product
from typing import Any, cast

from hypothesis import strategies as st

from grainspec.model.expressions import (
    ALL,
    MAX_FRAME,
    REST,
    Box,
    Complement,
    Difference,
    During,
    Expression,
    FrameRange,
    Grown,
    Intersection,
    Keyframe,
    Length,
    MaskFiles,
    Outline,
    Point,
    Polygon,
    Reference,
    Union,
)
from grainspec.testing.strategies.settings import settings
from grainspec.testing.strategies.values import numbers
from grainspec.testing.strategies.words import paths


@cache
def lengths(unit: str, low: float, high: float) -> st.SearchStrategy[Length]:
    """Lengths between two values in one unit.

    >>> from hypothesis import find
    >>> find(lengths("px", 5, 50), lambda length: length.value > 7).unit
    'px'
    """
    return numbers(low, high).map(
        lambda value: Length.model_validate({"value": value, "unit": unit})
    )


_UNITS = (("%", 100), ("px", 500))
"""The units of lengths, each with the approximate length of a frame's side in it."""

_MOMENTS: tuple[tuple[int | None, ...], ...] = ((None,), (0,), (0, 1), (None,), (3, 20, 40))
"""The frames of a shape's keyframes: a single None if it does not move."""


@cache
def boxes(moving: bool | None = None) -> st.SearchStrategy[Box]:
    """Boxes with a positive area, with or without keyframes; also ellipses if they may move.

    >>> from hypothesis import find
    >>> [key.frame for key in find(boxes(), lambda box: len(box.keyframes) > 1).keyframes]
    [0, 1]
    """
    kinds = ["box"] if moving is False else ["box", "ellipse"]
    moments = [frames for frames in _MOMENTS if moving is None or (frames != (None,)) is moving]
    return _boxes(st.sampled_from([*product(kinds, _UNITS, moments)]))


@st.composite
def _boxes(draw: st.DrawFn, forms: st.SearchStrategy[Any]) -> Box:
    kind, (unit, size), moments = draw(forms)
    corner, extent = lengths(unit, -5, size - 10), numbers(1, size)
    keys = []
    for frame in moments:
        x0, y0 = draw(corner), draw(corner)
        x1 = Length(value=x0.value + draw(extent), unit=unit)
        y1 = Length(value=y0.value + draw(extent), unit=unit)
        keys.append(Keyframe(frame=frame, x0=x0, y0=y0, x1=x1, y1=y1))
    return Box.model_validate({"kind": kind, "keyframes": tuple(keys)})


@cache
@st.composite
def polygons(draw: st.DrawFn) -> Polygon:
    """Polygons of three to five points, with or without keyframes.

    >>> from hypothesis import find
    >>> len(find(polygons(), lambda polygon: True).keyframes[0].points)
    3
    """
    (unit, size), moments, corners = draw(_OUTLINES)
    place = lengths(unit, -5, size)
    keys = []
    for frame in moments:
        points = tuple(Point(x=draw(place), y=draw(place)) for _ in range(corners))
        keys.append(Outline(frame=frame, points=points))
    return Polygon(keyframes=tuple(keys))


_OUTLINES = st.sampled_from([*product(_UNITS, _MOMENTS, (3, 3, 4, 3, 5))])


@cache
def _spans() -> st.SearchStrategy[FrameRange]:
    ends = st.tuples(st.integers(0, 20), st.integers(0, 20))
    return ends.map(lambda pair: FrameRange(first=min(pair), last=max(pair)))


@cache
@st.composite
def mask_files(draw: st.DrawFn) -> MaskFiles:
    """Masks with any of their options; the files need not exist.

    >>> from hypothesis import find
    >>> find(mask_files(), lambda masks: masks.in_order)
    MaskFiles(path='0', in_order=True)
    """
    pixels, options = draw(_MASK_PIXELS), draw(_MASK_OPTIONS)
    values = {name: draw(strategy) for name, strategy in pixels.items()}
    return MaskFiles(path=draw(paths()), **values, **options)


_MASK_PIXELS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {"threshold": numbers(0.01, 1)},
        {"index": st.integers(0, 65535)},
        {"colour": st.integers(0, 0xFFFFFF).map(lambda n: f"#{n:06x}")},
        {"label": paths()},
        {"label": paths(), "index": st.integers(0, 65535)},
        {"alpha": st.just(True)},
        {"alpha": st.just(True), "threshold": numbers(0.01, 1)},
    ]
)
_MASK_OPTIONS = settings(
    MaskFiles,
    threshold=None,
    index=None,
    colour=None,
    label=None,
    alpha=None,
    first=st.integers(-MAX_FRAME, MAX_FRAME),
)
"""Options that do not exclude each other."""


def expressions(known: Sequence[str] = ()) -> st.SearchStrategy[Expression]:
    """Region expressions that use the names in ``known`` and sources.

    >>> from hypothesis import find
    >>> find(expressions(["left"]), lambda region: isinstance(region, Reference))
    Reference(name='left')
    """
    return st.builds(filled_in, unfilled(), ORDER, st.just(known))


ORDER = st.integers(0, 119)
"""Which of the names comes first."""

_ANY = "some_region"
"""The placeholder for names that are filled in later."""


def filled_in(expression: Expression, order: int, names: Sequence[str]) -> Expression:
    """Replace the placeholders of an expression by ``names`` in turn, beginning at ``order``.

    Without names, ``all`` replaces them.
    """
    turn = islice(cycle(names), order % max(len(names), 1), None)

    def fill(node: Expression) -> Expression:
        if isinstance(node, Reference):
            return Reference(name=next(turn)) if names else ALL
        if isinstance(node, Union | Intersection | Difference):
            return node.model_copy(update={"items": tuple(map(fill, node.items))})
        if isinstance(node, Complement | Grown | During):
            return node.model_copy(update={"of": fill(node.of)})
        return node

    return fill(expression)


_DEEPEST = 4
"""The deepest nesting of drawn expressions; the language allows more."""


@cache
@st.composite
def unfilled(draw: st.DrawFn, deep: int = 0) -> Expression:
    """Expressions in which every reference is the placeholder."""
    smaller = unfilled(deep + 1)
    kind = draw(_SIMPLE if deep == _DEEPEST else _KINDS)
    if kind == "name":
        return Reference(name=_ANY)
    if isinstance(kind, type):
        items = tuple(draw(smaller) for _ in range(draw(st.sampled_from([2, 2, 3]))))
        return cast(Expression, kind(items=items))
    if kind == "invert":
        return Complement(of=draw(smaller))
    if kind == "during":
        return During(of=draw(smaller), frames=draw(_spans()))
    if kind in ("grow", "shrink"):
        by = draw(lengths(draw(st.sampled_from(["%", "px"])), 0, 20))
        return Grown.model_validate({"kind": kind, "of": draw(smaller), "by": by})
    return cast(Expression, draw(_SOURCES[kind]))


_SOURCES: dict[str, st.SearchStrategy[Any]] = {
    "all": st.just(ALL),
    "rest": st.just(REST),
    "box": boxes(),
    "polygon": polygons(),
    "masks": mask_files(),
}
_SIMPLE = st.sampled_from([*_SOURCES, "name"])
_KINDS: st.SearchStrategy[Any] = st.sampled_from(
    [
        *_SOURCES,
        "name",
        "name",
        Union,
        Intersection,
        Difference,
        "invert",
        "grow",
        "shrink",
        "during",
    ]
)
