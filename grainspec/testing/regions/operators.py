"""Operators, names and `rest`, each compared with the pixels of its own operands."""

from __future__ import annotations

from functools import reduce
from operator import and_, or_

import numpy as np

from grainspec.model.expressions import (
    All,
    Complement,
    Difference,
    During,
    Expression,
    Grown,
    Intersection,
    Reference,
    Rest,
    Smoothed,
    Union,
)
from grainspec.model.shapes import MAX_FRAME
from grainspec.regions.layout import Mask
from grainspec.testing.regions.binding import Binding
from grainspec.testing.regions.extent import Extent, exactly, require
from grainspec.testing.regions.nodes import NodeValue, needed, node_values
from grainspec.testing.regions.reading import grown, mostly, parts_of, without_rest
from grainspec.testing.regions.registry import binding_property
from grainspec.testing.regions.written import text

_NAMES = {
    Union: "union",
    Intersection: "intersection",
    Difference: "difference",
    Complement: "complement",
    Grown: "grow",
    During: "during",
    Smoothed: "smooth",
    All: "all",
    Rest: "rest",
}


@binding_property("operators")
def operators(binding: Binding) -> None:
    """Every operator gives what its definition says about the pixels of its operands.

    `|`, `&`, `-` and `~` pixel by pixel; `grow` adds all pixels within a distance, and `shrink`
    removes those within a distance of a pixel outside, where pixels beyond the frame do not count;
    `during` is its operand on its frames and empty on all others; `smooth` is the majority over
    neighbouring frames; `all` is the frame.
    """
    known: dict[Expression, list[NodeValue]] = {}
    for value in node_values(binding):
        known.setdefault(value.node, []).append(value)
        if type(value.node) not in _NAMES or isinstance(value.node, Rest):
            continue
        operands = _operands(binding, value, known)
        if operands is not None:
            _require(binding, value, _result(binding, value.node, operands), "operators")


@binding_property("rest")
def rest(binding: Binding) -> None:
    """`rest` has the pixels of no region, where regions that use `rest` themselves do not count."""
    counted = [binding.whole.mask(name) for name in sorted(without_rest(binding.spec))]
    for value in node_values(binding):
        if isinstance(value.node, Rest):
            outside = ~reduce(or_, counted, np.zeros_like(value.mask))
            _require(binding, value, exactly(outside), "rest")


@binding_property("names")
def names(binding: Binding) -> None:
    """A region has the pixels of its expression, under its name, whatever the other regions are."""
    whole = {region.expression: region.name for region in binding.spec.regions}
    values = {v.node: v for v in node_values(binding) if (v.first, v.last) == (0, MAX_FRAME)}
    for region in binding.spec.regions:
        node = region.expression
        assert node in whole
        if isinstance(node, Reference):
            expected = binding.whole.mask(node.name)
        elif node in values:
            expected = values[node].mask
        else:
            continue
        require(
            "names",
            f"`{region.name}`",
            expected,
            binding.whole.mask(region.name),
            binding.some,
            source=f"its expression `{text(node)}` does not agree",
            region=region.name,
        )


def _operands(
    binding: Binding, value: NodeValue, known: dict[Expression, list[NodeValue]]
) -> list[Mask] | None:
    """The pixels of an expression's operands as bound; None if one of them was not bound."""
    first, last = needed(value.node, binding.some, value.first, value.last)
    if first > last:
        return [np.zeros_like(value.mask)]
    found = []
    for part in parts_of(value.node):
        if isinstance(part, Reference):
            found.append(binding.whole.mask(part.name))
            continue
        fitting = [v for v in known.get(part, []) if (v.first, v.last) == (first, last)]
        if not fitting:
            return None
        found.append(fitting[0].mask)
    return found


def _result(binding: Binding, node: Expression, operands: list[Mask]) -> Extent:
    """What an operator makes of its operands' pixels."""
    if isinstance(node, All):
        shape = (len(binding.some), binding.facts.height, binding.facts.width)
        return exactly(np.ones(shape, np.bool_))
    if isinstance(node, Grown):
        shorter = min(binding.facts.width, binding.facts.height)
        return grown(exactly(operands[0]), node, shorter, (1.0, 1.0), True)
    if isinstance(node, Complement):
        return exactly(np.logical_not(operands[0]))
    if isinstance(node, During):
        first, last = node.frames.first, node.frames.last
        on = np.array([first <= frame <= last for frame in binding.some])
        return exactly(operands[0] & on[:, None, None])
    if isinstance(node, Smoothed):
        frames = range(len(operands[0]))
        return exactly(np.stack([mostly(operands[0], at, node.frames) for at in frames]))
    if isinstance(node, Difference):
        return exactly(operands[0] & ~reduce(or_, operands[1:]))
    return exactly(reduce(or_ if isinstance(node, Union) else and_, operands))


def _require(binding: Binding, value: NodeValue, expected: Extent, name: str) -> None:
    at = [i for i, frame in enumerate(binding.some) if value.first <= frame <= value.last]
    kind = value.node.kind if isinstance(value.node, Grown) else _NAMES[type(value.node)]
    require(
        name,
        f"`{text(value.node)}`",
        Extent(expected.sure[at], expected.possible[at]),
        value.mask[at],
        [binding.some[i] for i in at],
        source=f"the definition of {kind} says otherwise",
        region=value.region,
    )
