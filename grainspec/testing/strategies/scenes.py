"""Specs whose clip exists on disk, for tests of how regions are bound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from grainspec.model.expressions import (
    ALL,
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
    Smoothed,
    Union,
)
from grainspec.model.spec import Edit, EditSpec, Free, Keep, Region, Size, Video
from grainspec.testing.regions.clips import clip_folder


class Scene(NamedTuple):
    """A spec, and the folder that its paths start at."""

    spec: EditSpec
    base: Path


Clip = tuple[int, int, int]
"""Frames, width and height."""

_CLIPS: tuple[Clip, ...] = (
    (4, 40, 34),
    (5, 34, 18),
    (7, 27, 36),
    (12, 36, 21),
    (4, 40, 34),
    (1, 320, 24),
    (2, 24, 288),
)
_NOUNS = "robot bear cat alien penguin man tree hill river cloud lamp boat".split()


@cache
@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Specs with regions, edits, parts and kept regions, on a small oblong clip that exists.

    Frames need not start at 0; frames are left out, cropped, scaled and padded. Regions use every
    operator, and numbers whose edges go through the centres of pixels. Edits may be in error: their
    regions may be empty, or parts far from their owners.

    >>> from grainspec.testing import check_regions
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5, deadline=None)
    ... @given(scenes())
    ... def is_bound_rightly(scene):
    ...     check_regions(scene.spec, scene.base, errors_allowed=True)
    >>> is_bound_rightly()
    """
    clip = draw(st.sampled_from(_CLIPS))
    count = draw(st.sampled_from([2, 1, 3, 4, 2, 3, 9, 17]))
    names = [f"r{number}" for number in range(count)]
    forms = ["edit", *(draw(_FORMS) for _ in names[1:5])]
    regions = []
    for number, name in enumerate(names):
        form = forms[number] if number < len(forms) else "none"
        expression = _expression(draw, clip, tuple(names[:number]), form, 3 if count < 5 else 1)
        regions.append(Region(name=name, expression=expression))
    if count > 1 and draw(st.booleans()):  # the order of regions is not that of their references
        regions.reverse()
    edits = _statements(draw, forms)
    phrases = [edit.phrase for edit in edits if isinstance(edit, Edit)]
    spec = EditSpec(
        video=draw(_videos(clip)),
        target=" and ".join(phrases),
        regions=tuple(regions),
        edits=edits,
    )
    return Scene(spec, clip_folder(*clip))


_FORMS = st.sampled_from("edit keep owned free part add owned keep none".split())
_SMALL = ("part", "owned", "add", "keep")
"""Statements about regions that are mostly small, so that they do not cover all others."""


def _expression(
    draw: st.DrawFn, clip: Clip, known: tuple[str, ...], form: str, deepest: int
) -> Expression:
    kind = draw(st.integers(0, 4))
    if form in _SMALL and kind:
        return draw(_middles(clip, 2) if kind < 3 else _anywhere(clip))
    if kind == 4:
        return draw(_middles(clip, 4) | _anywhere(clip))
    if kind in (1, 2) and form != "none":
        return draw(_sometimes(clip, known))
    expression = draw(_expressions(clip, known, deepest))
    return Union(items=(expression, draw(_middles(clip, 7)))) if kind else expression


def _statements(draw: st.DrawFn, forms: Sequence[str]) -> tuple[Any, ...]:
    """Statements about the first regions."""
    made: list[Any] = []
    owners: list[str] = []
    for number, form in enumerate(forms):
        name = f"r{number}"
        owner = draw(st.sampled_from([*owners, owners[-1]])) if form in ("owned", "add") else None
        if form in ("free", "keep"):
            made.append((Free if form == "free" else Keep)(region=name))
        elif form != "none":
            made.append(
                Edit(
                    verb="add" if form == "add" else "edit",
                    grain="part" if form in ("part", "owned", "add") else None,
                    region=name,
                    owner=owner,
                    phrase=_NOUNS[number],
                )
            )
            owners.append(name)
    return tuple(reversed(made)) if draw(st.booleans()) else tuple(made)


@cache
def _videos(clip: Clip) -> st.SearchStrategy[Video]:
    frames, width, height = clip

    @st.composite
    def videos(draw: st.DrawFn) -> Video:
        made: dict[str, Any] = {"path": "clip"}
        if draw(st.integers(0, 2)) == 1:
            first = draw(st.integers(0, frames - 1))
            made["frames"] = FrameRange(first=first, last=draw(st.integers(first, frames - 1)))
        made["step"] = draw(st.sampled_from([1, 1, 2, 1, 3]))
        crop = draw(st.sampled_from(["none", "whole", "half", "whole", "percent", "beyond"]))
        if crop != "none":
            made["crop"] = _crop(draw, crop, width, height)
        size = draw(st.sampled_from(["none", "none", "same", "double", "half", "any"]))
        if size != "none":
            made["size"] = _size(draw, size, made.get("crop"), width, height)
        made["fit"] = draw(st.sampled_from(["crop", "crop", "pad"]))
        return Video(**made)

    return videos()


def _crop(draw: st.DrawFn, kind: str, width: int, height: int) -> Box:
    x0, y0 = draw(st.integers(0, width // 3)), draw(st.integers(0, height // 3))
    x1 = draw(st.integers(2 * width // 3, width))
    y1 = draw(st.integers(2 * height // 3, height))
    sides: list[float] = [x0, y0, x1, y1]
    if kind == "half":
        sides = [side + 0.3 * (place < 2) for place, side in enumerate(sides)]
    if kind == "beyond":
        sides = [-3, y0, width + 2, y1]
    made = [_px(side) for side in sides]
    if kind == "percent":
        made = [
            Length(value=round(100 * side / extent, 1), unit="%")
            for side, extent in zip(sides, (width, height) * 2, strict=True)
        ]
        made[2:] = [Length(value=min(100, length.value + 5), unit="%") for length in made[2:]]
    return _box("box", made, None)


def _size(draw: st.DrawFn, kind: str, crop: Box | None, width: int, height: int) -> Size:
    """A size: the box's own, twice or half of that, or any."""
    wide, high = float(width), float(height)
    if crop is not None and all(
        length.unit == "px" for length in (crop.keyframes[0].x0, crop.keyframes[0].x1)
    ):
        key = crop.keyframes[0]
        wide = min(wide, key.x1.value) - max(0, key.x0.value)
        high = min(high, key.y1.value) - max(0, key.y0.value)
    if kind == "any":
        return Size(width=draw(st.integers(16, 50)), height=draw(st.integers(16, 50)))
    scale = {"same": 1, "double": 2, "half": 0.5}[kind]
    return Size(width=max(16, round(wide * scale)), height=max(16, round(high * scale)))


def _px(value: float) -> Length:
    return Length(value=float(value), unit="px")


def _box(kind: str, sides: Sequence[Length], frame: int | None) -> Box:
    return Box.model_validate({"kind": kind, "keyframes": (_key(sides, frame),)})


def _key(sides: Sequence[Length], frame: int | None) -> Keyframe:
    x0, y0, x1, y1 = sides
    return Keyframe(frame=frame, x0=x0, y0=y0, x1=x1, y1=y1)


_SOURCES = ("box", "ellipse", "polygon", "box", "ellipse", "masks", "rest", "all")
_OPERATORS = (
    "union",
    "intersection",
    "difference",
    "complement",
    "grow",
    "shrink",
    "during",
    "smooth",
)
_MOMENTS: tuple[tuple[int | None, ...], ...] = ((None,), (None,), (0, 3), (1, 2, 6), (2,))


@cache
def _expressions(clip: Clip, known: tuple[str, ...], deepest: int) -> st.SearchStrategy[Expression]:
    kinds = [*_SOURCES, *(["name"] * 3 if known else []), *(_OPERATORS if deepest else ())]
    chosen = st.sampled_from(kinds)

    @st.composite
    def expressions(draw: st.DrawFn) -> Any:
        kind = draw(chosen)
        if kind == "name":
            return Reference(name=draw(st.sampled_from(known)))
        if kind in ("rest", "all"):
            return REST if kind == "rest" else ALL
        if kind == "masks":
            return draw(_MASKS)
        if kind in _SOURCES:
            return draw(_shapes(clip, kind))
        smaller = _expressions(clip, known, deepest - 1)
        if kind == "complement":
            return Complement(of=draw(smaller))
        if kind in ("grow", "shrink"):
            return Grown.model_validate({"kind": kind, "of": draw(smaller), "by": draw(_RADII)})
        if kind == "during":
            first = draw(st.integers(0, clip[0] - 1))
            last = draw(st.integers(first, clip[0] + 1))
            return During(of=draw(smaller), frames=FrameRange(first=first, last=last))
        if kind == "smooth":
            return Smoothed(of=draw(smaller), frames=draw(st.sampled_from([3, 1, 5, 9])))
        items = tuple(draw(smaller) for _ in range(draw(st.sampled_from([2, 2, 3]))))
        joined = {"union": Union, "intersection": Intersection, "difference": Difference}
        return joined[kind](items=items)

    return expressions()


_MASKS = st.builds(
    lambda path, invert, resize: MaskFiles.model_validate(
        {
            "path": path,
            "invert": invert,
            "resize": resize,
            "missing": "empty" if path == "gaps" else "refuse",
        }
    ),
    st.sampled_from(["blob", "blob", "gaps"]),
    st.booleans(),
    st.sampled_from(["nearest", "area", "any"]),
)
_RADII = st.sampled_from(
    [_px(2), _px(1), _px(0), _px(1.5), _px(3), _px(2.3), _px(5), _px(9), _px(45)]
    + [Length(value=value, unit="%") for value in (5.0, 12.5, 7.3)]
)


@cache
def _lengths(extent: int) -> st.SearchStrategy[Length]:
    """Positions along an axis: on edges and centres of pixels, or anywhere."""
    halves = st.integers(-6, 2 * extent + 6).map(lambda n: _px(n / 2))
    shares = st.integers(-4, 44).map(lambda n: Length(value=2.5 * n, unit="%"))
    anywhere = st.integers(-100, 10_500).map(lambda n: Length(value=n / 100, unit="%"))
    return halves | halves | shares | anywhere


@cache
def _shapes(clip: Clip, kind: str) -> st.SearchStrategy[Expression]:
    _, width, height = clip

    @st.composite
    def shapes(draw: st.DrawFn) -> Any:
        moments = draw(st.sampled_from(_MOMENTS))
        if kind == "polygon":
            corners = draw(st.sampled_from([3, 5, 4, 3]))
            outlines = []
            for moment in moments:
                points = tuple(
                    Point(x=draw(_lengths(width)), y=draw(_lengths(height))) for _ in range(corners)
                )
                if corners == 5:
                    points = _star(points, width, height)
                outlines.append(Outline(frame=moment, points=points))
            return Polygon(keyframes=tuple(outlines))
        keys = [_key(_sides(draw, width, height), moment) for moment in moments]
        return Box.model_validate({"kind": kind, "keyframes": tuple(keys)})

    return shapes()


@cache
def _middles(clip: Clip, largest: int) -> st.SearchStrategy[Expression]:
    """Boxes and ellipses in the middle of the frame, ``largest`` twelfths of it at most.

    With them, few regions are empty, or cut away by a crop.
    """
    _, width, height = clip

    def box(place: tuple[int, int, int, str, float]) -> Box:
        left, top, size, kind, moved = place
        x, y = left + moved, top + moved
        sides = (x, y, x + max(3, size * width // 12), y + max(3, size * height // 12))
        return _box(kind, [_px(side) for side in sides], None)

    places = st.integers(width // 4, width // 2), st.integers(height // 4, height // 2)
    kinds = st.sampled_from(["box", "ellipse"])
    sizes = st.integers(max(1, largest - 3), largest)
    return st.tuples(*places, sizes, kinds, st.sampled_from([0, 0.5])).map(box)


@cache
def _anywhere(clip: Clip) -> st.SearchStrategy[Expression]:
    """Small boxes anywhere in the frame, near each other or not.

    Some grow into a crop, others shrink, until nothing is left or almost nothing.
    """
    _, width, height = clip
    places = st.integers(0, width - 3), st.integers(0, height - 3)

    def box(place: tuple[int, int, int, int, Length | None]) -> Expression:
        x, y, wide, high, more = place
        made = _box("box", [_px(side) for side in (x, y, x + wide, y + high)], None)
        if more is None:
            return made
        kind = "shrink" if more.value == 1 else "grow"
        return Grown.model_validate({"kind": kind, "of": made, "by": more})

    growth = st.sampled_from([None, _px(5), Length(value=25, unit="%"), _px(1), _px(9)])
    return st.tuples(*places, st.integers(1, 6), st.integers(1, 6), growth).map(box)


@cache
def _sometimes(clip: Clip, known: tuple[str, ...]) -> st.SearchStrategy[Expression]:
    """Regions that are empty on some frames, mostly because they say so."""
    frames, width, height = clip
    middles = _middles(clip, 7)

    @st.composite
    def shown(draw: st.DrawFn) -> Any:
        kind = draw(st.sampled_from(["name", "during", "gaps", "leaves", "during"]))
        if kind == "gaps":
            resize = draw(st.sampled_from(["nearest", "area", "any"]))
            return MaskFiles.model_validate({"path": "gaps", "missing": "empty", "resize": resize})
        if kind == "name" and known:
            return Reference(name=draw(st.sampled_from(known)))
        box = draw(middles)
        if kind == "leaves" and isinstance(box, Box):
            key = box.keyframes[0]
            away = _key([_px(900), key.y0, _px(950), key.y1], frames // 2 + 1)
            still = key.model_copy(update={"frame": 0})
            return box.model_copy(update={"keyframes": (still, away)})
        first = draw(st.integers(0, frames - 1))
        return During(of=box, frames=FrameRange(first=first, last=max(first, frames // 2)))

    @st.composite
    def sometimes(draw: st.DrawFn) -> Any:
        one, always = draw(shown()), draw(middles)
        form = draw(st.sampled_from(["grow", "-", "|", "&", "plain", "all -", "~", "during"]))
        if form in ("|", "&"):
            items = (draw(shown()), one) if form == "|" else (always, one)
            return (Union if form == "|" else Intersection)(items=items)
        if form in ("-", "all -"):
            corner = _box("box", [_px(side) for side in (0, 0, width // 3, height // 3)], None)
            return Difference(items=(one, corner) if form == "-" else (ALL, one))
        if form == "grow":
            return Grown(of=one, by=_px(2))
        if form == "during":
            return During(of=one, frames=FrameRange(first=0, last=max(0, frames - 2)))
        return Complement(of=one) if form == "~" else one

    return sometimes()


def _sides(draw: st.DrawFn, width: int, height: int) -> list[Length]:
    """Left, top, right, bottom; mostly, right is to the right of left."""
    x, y = _in_order(draw, width), _in_order(draw, height)
    return [x[0], y[0], x[1], y[1]]


def _star(points: Sequence[Point], width: int, height: int) -> tuple[Point, ...]:
    """Every second of five points around their centre: a polygon that winds around it twice."""
    places = [(_place(point.x, width), _place(point.y, height)) for point in points]
    x, y = (sum(axis) / 5 for axis in zip(*places, strict=True))
    around = sorted(range(5), key=lambda i: math.atan2(places[i][1] - y, places[i][0] - x))
    return tuple(points[around[2 * number % 5]] for number in range(5))


def _in_order(draw: st.DrawFn, extent: int) -> list[Length]:
    """Two sides; mostly they are far from each other, so that few regions are empty."""
    one, other = draw(_lengths(extent)), draw(_lengths(extent))
    if abs(_place(one, extent) - _place(other, extent)) < extent / 4 and draw(st.integers(0, 3)):
        other = _px(_place(one, extent) + extent / 2)
    if one == other:
        other = one.model_copy(update={"value": one.value + 4})
    return sorted((one, other), key=lambda length: _place(length, extent))


def _place(length: Length, extent: int) -> float:
    return length.value * extent / 100 if length.unit == "%" else length.value
