"""Region expressions and their sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast, get_args

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
    Find,
    FindChoice,
    FrameRange,
    Grown,
    Intersection,
    Keyframe,
    Length,
    MaskFiles,
    Outline,
    Point,
    Polygon,
    Prompt,
    Reference,
    Smoothed,
    Track,
    Union,
)
from grainspec.testing.strategies.settings import Read, length, settings
from grainspec.testing.strategies.values import BYTES, Rolls


def lengths(unit: str, low: float, high: float) -> st.SearchStrategy[Length]:
    """Lengths between two values in one unit.

    >>> from hypothesis import find
    >>> find(lengths("px", 5, 50), lambda length: length.value > 7).unit
    'px'
    """
    return BYTES.map(lambda drawn: length(Rolls(drawn), low, high, [unit]))


_UNITS = (("%", 100), ("px", 500))
"""The units of lengths, each with the approximate length of a frame's side in it."""

_STILL: tuple[int | None, ...] = (None,)
_MOVING: tuple[tuple[int | None, ...], ...] = ((0, 1), (0,), (3, 20, 40))
_MOMENTS = (_STILL, _STILL, *_MOVING)
"""The frames of a shape's keyframes: a single None if it does not move."""


def boxes(moving: bool | None = None) -> st.SearchStrategy[Box]:
    """Boxes with a positive area, with or without keyframes; also ellipses if they may move.

    >>> from hypothesis import find
    >>> [key.frame for key in find(boxes(), lambda box: len(box.keyframes) > 1).keyframes]
    [0, 1]
    """
    moments = {None: _MOMENTS, True: _MOVING, False: (_STILL,)}[moving]
    kinds = ("box",) if moving is False else ("box", "ellipse")
    return BYTES.map(lambda drawn: read_box(Rolls(drawn), kinds, moments))


def read_box(
    rolls: Rolls,
    kinds: Sequence[str] = ("box", "ellipse"),
    moments: Sequence[Sequence[int | None]] = _MOMENTS,
) -> Box:
    """Read a box or an ellipse with a positive area."""
    kind, (unit, size) = rolls.of(kinds), rolls.of(_UNITS)
    keys = []
    for frame in rolls.of(moments):
        x0, y0 = rolls.number(-5, size - 10), rolls.number(-5, size - 10)
        x1, y1 = x0 + rolls.number(1, size, 1), y0 + rolls.number(1, size, 1)
        sides = zip(("x0", "y0", "x1", "y1"), (x0, y0, x1, y1), strict=True)
        drawn = {side: Length.model_validate({"value": v, "unit": unit}) for side, v in sides}
        keys.append(Keyframe(frame=frame, **drawn))
    return Box.model_validate({"kind": kind, "keyframes": tuple(keys)})


def polygons() -> st.SearchStrategy[Polygon]:
    """Polygons of three to five points, with or without keyframes.

    >>> from hypothesis import find
    >>> len(find(polygons(), lambda polygon: True).keyframes[0].points)
    3
    """
    return BYTES.map(lambda drawn: read_polygon(Rolls(drawn)))


def read_polygon(rolls: Rolls, moments: Sequence[Sequence[int | None]] = _MOMENTS) -> Polygon:
    """Read a polygon of three to five points."""
    unit, size = rolls.of(_UNITS)
    corners, frames = rolls.of((3, 3, 4, 5)), rolls.of(moments)

    def point() -> Point:
        return Point(x=length(rolls, -5, size, [unit]), y=length(rolls, -5, size, [unit]))

    keys = [Outline(frame=frame, points=tuple(point() for _ in range(corners))) for frame in frames]
    return Polygon(keyframes=tuple(keys))


def mask_files() -> st.SearchStrategy[MaskFiles]:
    """Masks with any of their options; the files need not exist.

    >>> from hypothesis import find
    >>> find(mask_files(), lambda masks: masks.in_order)
    MaskFiles(path='a', in_order=True)
    """
    return BYTES.map(lambda drawn: read_masks(Rolls(drawn)))


def read_masks(rolls: Rolls) -> MaskFiles:
    """Read masks in files."""
    options = _MASK_OPTIONS(rolls)
    pixels = {name: _PIXEL_VALUES[name](rolls) for name in rolls.of(_MASK_PIXELS)}
    # Texts last: what is read after them depends on their length.
    return MaskFiles.model_validate({**options, **pixels, "path": rolls.text()})


_MASK_PIXELS: tuple[tuple[str, ...], ...] = (
    (),
    ("threshold",),
    ("index",),
    ("colour",),
    ("label",),
    ("label", "index"),
    ("alpha",),
    ("alpha", "threshold"),
)
"""The options that choose pixels, as they go together."""
_PIXEL_VALUES: dict[str, Read] = {
    "threshold": lambda rolls: rolls.number(0.01, 1),
    "index": lambda rolls: rolls.whole(0, 65535),
    "colour": lambda rolls: f"#{rolls.upto(0xFFFFFF):06x}",
    "label": Rolls.text,
    "alpha": lambda rolls: True,
}
_MASK_OPTIONS = settings(
    MaskFiles,
    (),
    threshold=None,
    index=None,
    colour=None,
    label=None,
    alpha=None,
    first=lambda rolls: rolls.of((1, -1)) * rolls.whole(0, MAX_FRAME),
)
"""Options that do not exclude each other."""


def tracks() -> st.SearchStrategy[Track]:
    """Tracked objects with prompts of any kind on one or more frames.

    >>> from hypothesis import find
    >>> len(find(tracks(), lambda track: len(track.prompts) > 1).prompts)
    2
    """
    return BYTES.map(lambda drawn: read_track(Rolls(drawn)))


def read_track(rolls: Rolls) -> Track:
    """Read a tracked object that every engine takes: prompts on it, and points outside it.

    No frame has two shapes, a mask or an outline besides points, or a point twice.
    """
    prompts = []
    for frame in rolls.of(((None,), (None,), (0,), (0, 24), (24, 3), (5, 0, 40))):
        shape = rolls.of(_PROMPTS)(rolls)
        prompts.append(Prompt(shape=shape, frame=frame))
        alone = not (isinstance(shape, Point) or getattr(shape, "kind", "") == "box")
        points = {shape}
        for _ in range(0 if alone else rolls.of((0, 0, 1, 2))):
            outside, point = rolls.of((True, False)), _inside(rolls)
            if point not in points:
                prompts.append(Prompt(shape=point, outside=outside, frame=frame))
            points.add(point)
    return Track(prompts=tuple(prompts))


def _inside(rolls: Rolls) -> Point:
    """A point of the frame."""
    unit, size = rolls.of(_UNITS)
    return Point(x=length(rolls, 0, size - 1, [unit]), y=length(rolls, 0, size - 1, [unit]))


def finds() -> st.SearchStrategy[Find]:
    """Objects found by words.

    >>> from hypothesis import find
    >>> find(finds(), lambda found: found.choice == "leftmost")
    Find(words='man', choice='leftmost')
    """
    return BYTES.map(lambda drawn: read_find(Rolls(drawn)))


def read_find(rolls: Rolls) -> Find:
    """Read objects found by words."""
    drawn: dict[str, Any] = {"frame": rolls.of((None, None, 0, 30)), **_FIND_OPTIONS(rolls)}
    if "number" not in drawn:
        drawn["choice"] = rolls.of(get_args(FindChoice))
    return Find.model_validate({**drawn, "words": rolls.of(_OBJECTS)})


_OBJECTS = ("man", "man in red", 'a "big" dog', "猫")


def expressions(known: Sequence[str] = ()) -> st.SearchStrategy[Expression]:
    """Region expressions that use the names in ``known`` and sources.

    >>> from hypothesis import find
    >>> find(expressions(["left"]), lambda region: isinstance(region, Reference))
    Reference(name='left')
    """
    return BYTES.map(lambda drawn: read_expression(Rolls(drawn), known))


_DEEPEST = 4
"""The deepest nesting of drawn expressions; the language allows more."""


def read_expression(rolls: Rolls, known: Sequence[str], deep: int = 0) -> Expression:
    """Read an expression; it refers to names in ``known``."""
    kind = rolls.of(_SIMPLE if deep == _DEEPEST else _KINDS)
    if kind in _SOURCES:
        return cast(Expression, _SOURCES[kind](rolls))
    if kind == "name":
        return Reference(name=rolls.of(known)) if known else ALL
    return read_operation(rolls, kind, known, deep)


def read_operation(rolls: Rolls, kind: str, known: Sequence[str] = (), deep: int = 0) -> Expression:
    """Read the operands of an operator of this kind, and make the expression."""
    if kind in _OF_SEVERAL:
        count = rolls.of((2, 2, 3))
        items = tuple(read_expression(rolls, known, deep + 1) for _ in range(count))
        return cast(Expression, _OF_SEVERAL[kind](items=items))
    inner = read_expression(rolls, known, deep + 1)
    if kind == "complement":
        return Complement(of=inner)
    if kind == "during":
        first, last = sorted((rolls.upto(20), rolls.upto(20)))
        return During(of=inner, frames=FrameRange(first=first, last=last))
    if kind == "smooth":
        return Smoothed(of=inner, frames=2 * rolls.upto(8) + 1)
    by = length(rolls, 0, 20)
    return Grown.model_validate({"kind": kind, "of": inner, "by": by})


_SOURCES: dict[str, Read] = {
    "all": lambda rolls: ALL,
    "rest": lambda rolls: REST,
    "box": read_box,
    "polygon": read_polygon,
    "masks": read_masks,
    "track": read_track,
    "find": read_find,
}
_PROMPTS: tuple[Read, ...] = (
    _inside,
    _inside,
    lambda rolls: read_box(rolls, moments=(_STILL,)),
    lambda rolls: read_polygon(rolls, moments=(_STILL,)),
    read_masks,
)
"""What shows an object to a tracker."""
_FIND_OPTIONS = settings(Find, ())
_OF_SEVERAL: dict[str, Any] = {
    "union": Union,
    "intersection": Intersection,
    "difference": Difference,
}
_SIMPLE = (*_SOURCES, "name")
_KINDS = (
    *_SIMPLE,
    "name",
    *_OF_SEVERAL,
    "complement",
    "grow",
    "shrink",
    "grow",
    "during",
    "smooth",
)
