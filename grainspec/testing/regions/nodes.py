"""Every expression in a spec's regions, with its own pixels as bound on whole frames."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from grainspec.model.expressions import During, Expression, FrameRange, Reference, Smoothed
from grainspec.model.shapes import MAX_FRAME
from grainspec.regions.layout import Mask
from grainspec.testing.regions.binding import Binding, is_shallow
from grainspec.testing.regions.reading import parts_of

Place = tuple[Expression, int, int]
"""An expression, and the first and last source frame on which it is needed."""


@dataclass(frozen=True, eq=False)
class NodeValue:
    """An expression in ``region``, and its pixels on frames ``first`` to ``last``."""

    node: Expression
    first: int
    last: int
    region: str
    mask: Mask


def places_of(
    node: Expression, frames: Sequence[int], first: int = 0, last: int = MAX_FRAME
) -> Iterator[Place]:
    """An expression and everything in it, innermost first, with the frames where it is needed.

    ``frames`` are all frames that are bound.
    """
    begin, end = needed(node, frames, first, last)
    for part in parts_of(node):
        if begin <= end:
            yield from places_of(part, frames, begin, end)
    yield node, first, last


def needed(node: Expression, frames: Sequence[int], first: int, last: int) -> tuple[int, int]:
    """The first and the last frame of ``frames`` on which an expression's operands are needed."""
    if isinstance(node, During):
        return max(first, node.frames.first), min(last, node.frames.last)
    if isinstance(node, Smoothed):
        low = bisect_left(frames, first) - node.frames // 2
        high = bisect_right(frames, last) - 1 + node.frames // 2
        return frames[low] if low > 0 else 0, frames[high] if high < len(frames) else MAX_FRAME
    return first, last


def expressions_in(binding: Binding, kinds: tuple[type, ...]) -> Iterator[Expression]:
    """The different expressions of these kinds in a spec's regions."""
    nodes = (
        node for r in binding.spec.regions for node, *_ in places_of(r.expression, binding.some)
    )
    yield from dict.fromkeys(node for node in nodes if isinstance(node, kinds))


def node_values(binding: Binding) -> list[NodeValue]:
    """The pixels of all expressions but references, on the binding's ``some`` frames."""
    cache: list[NodeValue] | None = binding.__dict__.get("node_values")
    if cache is not None:
        return cache
    regions: dict[Place, str] = {}
    for region in binding.spec.regions:
        for place in places_of(region.expression, binding.some):
            if not isinstance(place[0], Reference) and is_shallow(place[0], 3):
                regions.setdefault(place, region.name)
    values = binding.values([_limited(*place) for place in regions], binding.whole_video)
    made = [
        NodeValue(*place, region, mask)
        for (place, region), mask in zip(regions.items(), values, strict=False)
    ]
    binding.__dict__["node_values"] = made
    return made


def _limited(node: Expression, first: int, last: int) -> Expression:
    """An expression on the frames where it is needed: there may be masks for no others."""
    if (first, last) == (0, MAX_FRAME):
        return node
    return During(of=node, frames=FrameRange(first=first, last=last))
