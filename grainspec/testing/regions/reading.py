"""A second reading of region expressions: their pixels by definition, slowly and independently."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from grainspec.clip.facts import ClipFacts
from grainspec.model.expressions import (
    All,
    Box,
    Complement,
    Difference,
    During,
    Expression,
    Find,
    Grown,
    Intersection,
    Length,
    MaskFiles,
    Polygon,
    Reference,
    ResizeRule,
    Rest,
    Smoothed,
    Track,
    Union,
)
from grainspec.model.spec import EditSpec
from grainspec.regions.layout import Mask
from grainspec.testing.regions import formula
from grainspec.testing.regions.extent import Extent, exactly
from grainspec.testing.regions.grid import Grid

SourceMasks = Callable[[MaskFiles | Track | Find, Sequence[int]], Mask]
"""The pixels of mask files, or of tracked objects, on these source frames, bool
``[frames, height, width]`` of the clip."""


def parts_of(node: Expression) -> tuple[Expression, ...]:
    """The operands of an expression."""
    if isinstance(node, Union | Intersection | Difference):
        return node.items
    return (node.of,) if isinstance(node, Complement | Grown | During | Smoothed) else ()


def nodes_of(node: Expression) -> Iterator[Expression]:
    """An expression and everything in it, innermost first."""
    for part in parts_of(node):
        yield from nodes_of(part)
    yield node


def without_rest(spec: EditSpec) -> frozenset[str]:
    """The regions that do not use `rest`, neither themselves nor through others."""
    inside = {region.name: list(nodes_of(region.expression)) for region in spec.regions}
    with_rest = {name for name, nodes in inside.items() if any(isinstance(n, Rest) for n in nodes)}
    for _ in inside:  # each round reaches one reference further
        with_rest |= {
            name
            for name, nodes in inside.items()
            if any(isinstance(node, Reference) and node.name in with_rest for node in nodes)
        }
    return frozenset(inside) - with_rest


def pixels_of(length: Length, extent: int) -> float:
    """A length in source pixels."""
    return length.value * extent / 100 if length.unit == "%" else length.value


def numbers_at(
    shape: Box | Polygon, frame: int, width: int, height: int
) -> tuple[list[float], bool]:
    """x and y of a shape's corners in turn at a source frame, and whether they are exact.

    Each number moves linearly from keyframe to keyframe, and stays before the first one and after
    the last one.
    """
    if isinstance(shape, Polygon):
        lengths = [
            [part for point in key.points for part in (point.x, point.y)] for key in shape.keyframes
        ]
    else:
        lengths = [[key.x0, key.y0, key.x1, key.y1] for key in shape.keyframes]
    sizes = [width, height] * (len(lengths[0]) // 2)
    rows = [
        [pixels_of(length, size) for length, size in zip(row, sizes, strict=True)]
        for row in lengths
    ]
    exact = all(
        length.unit == "px" or (4 * length.value).is_integer() for row in lengths for length in row
    )
    if len(rows) == 1:
        return rows[0], exact
    moments = [key.frame or 0 for key in shape.keyframes]
    at = [float(np.interp(frame, moments, column)) for column in zip(*rows, strict=True)]
    between = moments[0] < frame < moments[-1] and frame not in moments
    return at, exact and not between


def drawn(
    shape: Box | Polygon, numbers: Sequence[float], x: formula.Line, y: formula.Line, exact: bool
) -> Extent:
    """The pixels of a shape with these numbers, ``[H, W]``, by its formula."""
    if isinstance(shape, Polygon):
        return formula.polygon(x, y, list(zip(numbers[::2], numbers[1::2], strict=True)), exact)
    fill = formula.ellipse if shape.kind == "ellipse" else formula.box
    return fill(x, y, numbers, exact)


def grown(
    extent: Extent, node: Grown, shorter: int, scale: tuple[float, float], exact: bool
) -> Extent:
    """A region grown or shrunk by a disc, whose radius is in source pixels.

    Pixels beyond the frame do not count, neither as the region's nor as outside of it.
    """
    by = pixels_of(node.by, shorter)
    exact = exact and (node.by.unit == "px" or (4 * node.by.value).is_integer())
    near = 0 if exact and (4 * by * scale[0]).is_integer() else formula.NEAR
    least, most = max(0.0, by * min(scale) - near), by * max(scale) + near
    if node.kind == "grow":
        return Extent(formula.disc(extent.sure, least), formula.disc(extent.possible, most))
    outside = extent.inverted()
    smaller = Extent(formula.disc(outside.sure, least), formula.disc(outside.possible, most))
    return smaller.inverted()


def mostly(masks: Mask, index: int, count: int) -> Mask:
    """The pixels that are set on most of the ``count`` frames around one, bool ``[H, W]``.

    Those before the first frame and after the last one do not count; of a tie, the frame decides.
    """
    around = [at for at in range(len(masks)) if abs(at - index) <= count // 2]
    votes = np.where(masks[around], 2, -2).sum(axis=0) + np.where(masks[index], 1, -1)
    return np.asarray(votes > 0)


class Reading:
    """The pixels of a spec's regions on some source frames, over all of a grid ``[F, H, W]``."""

    def __init__(
        self,
        spec: EditSpec,
        facts: ClipFacts,
        frames: Sequence[int],
        grid: Grid,
        masks: SourceMasks,
    ) -> None:
        self.spec, self.facts, self.grid, self.masks = spec, facts, grid, masks
        self.frames = list(frames)
        self._named: dict[str, Extent] = {}
        self._free_of_rest = without_rest(spec)

    def region(self, name: str) -> Extent:
        """The pixels of a named region on all frames."""
        if name not in self._named:
            self._named[name] = self.of(self.spec.region(name).expression, range(len(self.frames)))
        return self._named[name]

    def of(self, node: Expression, at: Sequence[int]) -> Extent:
        """The pixels of an expression on the frames with these indices."""
        if isinstance(node, Reference):
            known = self.region(node.name)
            return Extent(known.sure[list(at)], known.possible[list(at)])
        if isinstance(node, During):
            return self._during(node, at)
        if isinstance(node, Smoothed):
            return self._smoothed(node, at)
        if isinstance(node, Complement):
            return self.of(node.of, at).inverted()
        if isinstance(node, Grown):
            shorter = min(self.facts.width, self.facts.height)
            return grown(self.of(node.of, at), node, shorter, self.grid.scale, self.grid.exact)
        if isinstance(node, Union | Intersection | Difference):
            first, *others = (self.of(item, at) for item in node.items)
            for other in others:
                if isinstance(node, Union):
                    first = first | other
                else:
                    first = first & (other if isinstance(node, Intersection) else other.inverted())
            return first
        return self._at_the_border(self._source(node, at))

    def _source(self, node: Expression, at: Sequence[int]) -> Extent:
        shape = (len(at), len(self.grid.y), len(self.grid.x))
        if isinstance(node, All):
            return exactly(np.ones(shape, np.bool_))
        if isinstance(node, Rest):
            nothing = exactly(np.zeros(shape, np.bool_))
            for name in self._free_of_rest:
                nothing = nothing | self.of(Reference(name=name), at)
            return nothing.inverted()
        if isinstance(node, MaskFiles | Track | Find):
            if not at:
                return exactly(np.zeros(shape, np.bool_))
            masks = self.masks(node, [self.frames[i] for i in at])
            rule = node.resize if isinstance(node, MaskFiles) else "nearest"
            return sampled(masks, rule, self.grid)
        assert isinstance(node, Box | Polygon)
        result = Extent(np.zeros(shape, np.bool_), np.zeros(shape, np.bool_))
        for number, index in enumerate(at):
            numbers, exact = numbers_at(
                node, self.frames[index], self.facts.width, self.facts.height
            )
            one = drawn(node, numbers, self.grid.x, self.grid.y, exact and self.grid.exact)
            result.sure[number], result.possible[number] = one
        return result

    def _during(self, node: During, at: Sequence[int]) -> Extent:
        chosen = [
            place
            for place, index in enumerate(at)
            if node.frames.first <= self.frames[index] <= node.frames.last
        ]
        shape = (len(at), len(self.grid.y), len(self.grid.x))
        result = Extent(np.zeros(shape, np.bool_), np.zeros(shape, np.bool_))
        if chosen:
            inner = self.of(node.of, [at[place] for place in chosen])
            result.sure[chosen], result.possible[chosen] = inner
        return result

    def _smoothed(self, node: Smoothed, at: Sequence[int]) -> Extent:
        """By definition: for each frame, the frames around it are counted."""
        inner = self.of(node.of, range(len(self.frames)))
        shape = (len(at), len(self.grid.y), len(self.grid.x))
        result = Extent(np.zeros(shape, np.bool_), np.zeros(shape, np.bool_))
        for number, index in enumerate(at):
            result.sure[number] = mostly(inner.sure, index, node.frames)
            result.possible[number] = mostly(inner.possible, index, node.frames)
        return result

    def _at_the_border(self, extent: Extent) -> Extent:
        doubtful = self.grid.doubtful
        if not doubtful.any():
            return extent
        return Extent(extent.sure & ~doubtful, extent.possible | doubtful)


def sampled(masks: Mask, resize: ResizeRule, grid: Grid) -> Extent:
    """Source masks at the pixels of a grid: by their centres, or by their areas (`resize`)."""
    height, width = masks.shape[-2:]
    if resize == "nearest":
        near = 0 if grid.exact else 1e-6
        corners = [
            masks[
                :,
                np.clip(np.floor(grid.y + down), 0, height - 1).astype(int)[:, None],
                np.clip(np.floor(grid.x + aside), 0, width - 1).astype(int),
            ]
            for down in {near, -near}
            for aside in {near, -near}
        ]
        return Extent(np.logical_and.reduce(corners), np.logical_or.reduce(corners))
    sides = [1 / scale for scale in grid.scale]
    if grid.exact and all(side >= 1 for side in sides):
        across, down = map(round, sides)
        shares = _sums(masks, grid, across / 2, down / 2) / (across * down)
        return exactly(shares > 0 if resize == "any" else shares >= 0.5)
    wide = [max(1.0, side) / 2 + 1 for side in sides]
    none, full = _sums(masks, grid, *wide), _sums(~masks, grid, *wide)
    return Extent(full == 0, none > 0)


def _sums(masks: Mask, grid: Grid, aside: float, down: float) -> np.ndarray:
    """How many pixels of the masks lie around each pixel of a grid, so far aside and down."""
    height, width = masks.shape[-2:]
    sums = np.zeros((len(masks), height + 1, width + 1), np.int64)
    sums[:, 1:, 1:] = masks.cumsum(axis=1).cumsum(axis=2)
    y0, y1 = (np.clip(np.round(grid.y + off), 0, height).astype(int) for off in (-down, down))
    x0, x1 = (np.clip(np.round(grid.x + off), 0, width).astype(int) for off in (-aside, aside))
    upper = sums[:, y0[:, None], x1] - sums[:, y0[:, None], x0]
    return np.asarray(sums[:, y1[:, None], x1] - sums[:, y1[:, None], x0] - upper)
