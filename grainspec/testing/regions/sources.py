"""Shapes and masks, each by itself on the whole frame."""

from __future__ import annotations

from itertools import pairwise

from grainspec.model.expressions import Box, MaskFiles, Polygon
from grainspec.testing.broken import Broken
from grainspec.testing.regions.binding import Binding
from grainspec.testing.regions.extent import exactly, require
from grainspec.testing.regions.mask_pictures import pictures
from grainspec.testing.regions.nodes import expressions_in, node_values
from grainspec.testing.regions.reading import drawn, numbers_at
from grainspec.testing.regions.registry import binding_property
from grainspec.testing.regions.written import text


@binding_property("keyframes")
def keyframes(binding: Binding) -> None:
    """A shape's numbers move linearly between keyframes, and stay before the first and after the
    last one; percent are of the source frame's width and height."""
    size = binding.facts.width, binding.facts.height
    for shape in expressions_in(binding, (Box, Polygon)):
        assert isinstance(shape, Box | Polygon)
        moments = [key.frame for key in shape.keyframes if key.frame is not None]
        wanted = {0, binding.facts.frames - 1, *moments}
        for one, other in pairwise(moments):
            wanted |= {one + 1, (one + other) // 2, other - 1}
        if moments:
            wanted |= {max(0, moments[0] - 1), moments[-1] + 1, moments[-1] + 1000}
        for frame in sorted(wanted):
            expected, _ = numbers_at(shape, frame, *size)
            actual = shape.numbers(frame, *size)
            _require_close(shape, frame, list(actual), expected)
            sides = shape.sides(frame, *size)
            if isinstance(shape, Polygon):
                x, y = expected[::2], expected[1::2]
                expected = [min(x), min(y), max(x), max(y)]
            _require_close(shape, frame, list(sides), expected)


def _require_close(
    shape: Box | Polygon, frame: int, actual: list[float], expected: list[float]
) -> None:
    same = len(actual) == len(expected) and all(
        abs(a - b) <= 1e-9 * (1 + abs(b)) for a, b in zip(actual, expected, strict=True)
    )
    if not same:
        numbers = ", ".join(f"{number:.6g}" for number in actual)
        right = ", ".join(f"{number:.6g}" for number in expected)
        message = f"`{text(shape)}` is at {numbers}, not at {right}"
        raise Broken("keyframes", message, frame=frame)


@binding_property("shapes")
def shapes(binding: Binding) -> None:
    """A pixel is in a shape if its centre is, by the shape's formula.

    A box has its left and upper sides, not the right and the lower ones. An ellipse touches the
    sides of its box, and has no pixel that the box has not. A polygon follows the even-odd rule.
    """
    size = binding.facts.width, binding.facts.height
    grid = binding.source_grid
    for value in node_values(binding):
        if not isinstance(value.node, Box | Polygon):
            continue
        for index, frame in enumerate(binding.some):
            if not value.first <= frame <= value.last:
                continue
            numbers, exact = numbers_at(value.node, frame, *size)
            extent = drawn(value.node, numbers, grid.x, grid.y, exact)
            one = type(extent)(extent.sure[None], extent.possible[None])
            require(
                "shapes",
                f"`{text(value.node)}`",
                one,
                value.mask[index : index + 1],
                [frame],
                source="its formula says otherwise",
                region=value.region,
            )


@binding_property("masks")
def masks(binding: Binding) -> None:
    """Plain mask pictures are read as drawn: of each frame its picture, white or black pixels."""
    for value in node_values(binding):
        if not isinstance(value.node, MaskFiles) or binding.facts.first:
            continue
        at = [i for i, f in enumerate(binding.some) if value.first <= f <= value.last]
        frames = [binding.some[i] for i in at]
        read = pictures(value.node, binding.base, frames) if at else None
        if read is not None:
            require(
                "masks",
                f"`{text(value.node)}`",
                exactly(read),
                value.mask[at],
                frames,
                source="its picture says otherwise",
                region=value.region,
            )
