"""Shapes moved, mirrored and turned; their areas; boxes around ellipses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from grainspec.model.expressions import (
    Box,
    Expression,
    FrameRange,
    Keyframe,
    Length,
    Outline,
    Point,
    Polygon,
)
from grainspec.regions.layout import Mask
from grainspec.testing.broken import Broken
from grainspec.testing.regions.binding import Binding
from grainspec.testing.regions.extent import Extent, require
from grainspec.testing.regions.nodes import expressions_in
from grainspec.testing.regions.reading import drawn, numbers_at
from grainspec.testing.regions.registry import binding_property
from grainspec.testing.regions.written import text

_MOST_SHAPES = 2
_LARGEST = 900_000.0
_MOVED = (2, 1)

Turn = tuple[str, Callable[[float, float], tuple[float, float]], Callable[[Mask], Mask]]
"""What is done to a shape: its name, where a point goes, and where pixels go."""


@binding_property("symmetry")
def symmetry(binding: Binding) -> None:
    """A shape that is moved by whole pixels, mirrored or turned has its pixels moved likewise.

    Centres of pixels on an edge do not count. An ellipse has no pixel that its box has not; the
    polygon of a box's corners is the box; an ellipse and a triangle within the frame have about
    their area.
    """
    size = binding.facts.width, binding.facts.height
    frame, video = binding.some[-1], binding.whole_video
    if not binding.needs_all_frames:
        span = FrameRange(first=frame, last=frame)
        video = video.model_copy(update={"frames": span, "step": 1})
    for shape in list(expressions_in(binding, (Box, Polygon)))[:_MOST_SHAPES]:
        assert isinstance(shape, Box | Polygon)
        numbers, _ = numbers_at(shape, frame, *size)
        if max(map(abs, numbers)) > _LARGEST:
            continue
        turns = list(_turns(*size))
        nodes = [_still(shape, numbers), *(_turned(shape, numbers, turn[1]) for turn in turns)]
        nodes += [_outline(shape, numbers), _still(shape, numbers, "box")]
        masks = [mask[-1] for mask in binding.values(nodes, video)]
        if not masks:
            return
        here, *others, outline, around = masks
        certain = drawn(shape, numbers, binding.source_grid.x, binding.source_grid.y, False)
        doubtful = certain.possible & ~certain.sure
        for (name, _, move), node, there in zip(turns, nodes[1:], others, strict=False):
            one = Extent(move(here & ~doubtful), move(here | doubtful))
            known = move(np.ones_like(here))  # what moves out of the frame is not known
            extent = Extent(one.sure & known, one.possible | ~known)
            _require(f"`{text(node)}`, which is {name},", extent, there, frame, text(nodes[0]))
        if isinstance(shape, Box):
            ordered = numbers[0] <= numbers[2] and numbers[1] <= numbers[3]
            if shape.kind == "ellipse":
                inside = Extent(here & around, here & around)
                _require(f"`{text(nodes[0])}`", inside, here, frame, "its box")
            elif ordered:
                name = f"the polygon of the corners of `{text(nodes[0])}`"
                _require(name, Extent(here, here), outline, frame, "the box")
        _require_area(shape, numbers, here, text(nodes[0]))


def _require(what: str, extent: Extent, actual: Mask, frame: int, source: str) -> None:
    one = Extent(extent.sure[None], extent.possible[None])
    require("symmetry", what, one, actual[None], [frame], source=f"{source} does not agree")


def _turns(width: int, height: int) -> Iterator[Turn]:
    across, down = _MOVED

    def moved(mask: Mask) -> Mask:
        result = np.zeros_like(mask)
        result[down:, across:] = mask[: height - down or None, : width - across or None]
        return result

    side = min(width, height)

    def turned(mask: Mask) -> Mask:
        result = np.zeros_like(mask)
        result[:side, :side] = mask[:side, :side].T
        return result

    if width > across and height > down:
        yield "moved by 2,1 pixels", lambda x, y: (x + across, y + down), moved
    yield "mirrored", lambda x, y: (width - x, y), lambda mask: mask[:, ::-1]
    yield "upside down", lambda x, y: (x, height - y), lambda mask: mask[::-1]
    yield "transposed", lambda x, y: (y, x), turned


def _pixels(number: float) -> Length:
    return Length(value=float(number), unit="px")


def _still(shape: Box | Polygon, numbers: Sequence[float], kind: str | None = None) -> Expression:
    """The shape with these numbers, in pixels, without keyframes."""
    if isinstance(shape, Polygon):
        return _outline(shape, numbers)
    sides = dict(zip(("x0", "y0", "x1", "y1"), map(_pixels, numbers), strict=True))
    key = Keyframe.model_validate(sides)
    return Box.model_validate({"kind": kind or shape.kind, "keyframes": (key,)})


def _outline(shape: Box | Polygon, numbers: Sequence[float]) -> Expression:
    """The polygon of a polygon's points, or of a box's corners."""
    places = list(zip(numbers[::2], numbers[1::2], strict=True))
    if isinstance(shape, Box):
        (x0, y0), (x1, y1) = places
        places = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    points = tuple(Point(x=_pixels(x), y=_pixels(y)) for x, y in places)
    return Polygon(keyframes=(Outline(points=points),))


def _turned(
    shape: Box | Polygon,
    numbers: Sequence[float],
    place: Callable[[float, float], tuple[float, float]],
) -> Expression:
    points = [place(x, y) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
    if isinstance(shape, Box):  # mirrored sides change places, but a wrong order stays wrong
        rises = [numbers[2] - numbers[0], numbers[3] - numbers[1]]
        turned = [points[1][0] - points[0][0], points[1][1] - points[0][1]]
        if place(0, 1)[0] == place(0, 0)[0]:  # x stays x
            swap = [a * b < 0 for a, b in zip(rises, turned, strict=True)]
        else:
            swap = [False, False]
        (x0, y0), (x1, y1) = points
        x0, x1 = (x1, x0) if swap[0] else (x0, x1)
        y0, y1 = (y1, y0) if swap[1] else (y0, y1)
        points = [(x0, y0), (x1, y1)]
    return _still(shape, [number for point in points for number in point])


def _require_area(shape: Box | Polygon, numbers: Sequence[float], mask: Mask, name: str) -> None:
    """Raise Broken if a shape within the frame has far more or fewer pixels than its area.

    For convex shapes the difference is less than the length of the border, and one.
    """
    height, width = mask.shape
    x, y = numbers[::2], numbers[1::2]
    if min(*x, *y) < 0 or max(x) > width or max(y) > height:
        return
    if isinstance(shape, Polygon):
        if len(x) != 3:
            return
        (ax, bx, cx), (ay, by, cy) = x, y
        area = abs((bx - ax) * (cy - ay) - (cx - ax) * (by - ay)) / 2
        border = sum(math.dist((x[i], y[i]), (x[i - 1], y[i - 1])) for i in range(3))
    else:
        wide, high = max(0.0, x[1] - x[0]), max(0.0, y[1] - y[0])
        if not wide or not high:
            wide = high = 0.0
        area, border = wide * high, 2 * (wide + high)
        if shape.kind == "ellipse":
            area *= math.pi / 4
    if abs(mask.sum() - area) > border + 1:
        message = f"`{name}` has {mask.sum()} pixels, and an area of {area:.4g}"
        raise Broken("symmetry", message)
