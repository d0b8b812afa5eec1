"""Laws of the algebra of regions, for the regions of the spec and two shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from grainspec.model.expressions import (
    ALL,
    REST,
    Expression,
    Reference,
    Union,
    box,
    ellipse,
)
from grainspec.testing.regions.binding import Binding
from grainspec.testing.regions.extent import require
from grainspec.testing.regions.reading import without_rest
from grainspec.testing.regions.registry import binding_property
from grainspec.testing.regions.written import text

Law = tuple[str, Expression, Expression]
"""A law, and two expressions of the same pixels."""

_LOOSE = (ellipse("10%", "20%", "75%", "90%"), box("30%", "0%", "100%", "55%"))


@binding_property("algebra")
def algebra(binding: Binding) -> None:
    """Expressions that are equal by a law of sets have the same pixels, under any crop."""
    named: list[Expression] = [Reference(name=region.name) for region in binding.spec.regions]
    operands = (*named[:1], *named[-1:], *_LOOSE)[:3] if len(named) > 1 else (*named, *_LOOSE)
    frames = binding.frames if binding.needs_all_frames else binding.frames[:2]
    laws = [*_laws(*operands[:3]), *_in_time(operands[0], operands[1], frames), *_of_rest(binding)]
    masks = binding.evaluated([side for _, *pair in laws for side in pair], frames)
    for law, left, right in laws:
        if left not in masks or right not in masks:
            return  # no room for more regions
        require(
            "algebra",
            f"{law}: `{text(left)}`",
            masks[right],
            masks[left],
            frames,
            source=f"`{text(right)}` does not agree",
        )


def _laws(a: Expression, b: Expression, c: Expression) -> Iterator[Law]:
    nothing = ALL - ALL
    yield "idempotence", a | a, a
    yield "idempotence", a & a, a
    yield "commutativity", a | b, b | a
    yield "commutativity", a & b, b & a
    yield "associativity", (a | b) | c, a | Union(items=(b, c))
    yield "associativity", (a & b) & c, a & (b & c)
    yield "distributivity", a & (b | c), (a & b) | (a & c)
    yield "De Morgan", ~(a | b), ~a & ~b
    yield "De Morgan", ~(a & b), ~a | ~b
    yield "difference", a - b, a & ~b
    yield "difference", a - b - c, a - (b | c)
    yield "double complement", ~~a, a
    yield "complement", a | ~a, ALL
    yield "complement", a & ~a, nothing
    yield "grow by nothing", a.grow("0px"), a
    yield "grow contains", a & a.grow("1.5px"), a
    yield "shrink lies within", a | a.shrink("1.5px"), a
    yield "shrink is grow of the complement", a.shrink("2px"), ~(~a).grow("2px")
    yield "grow of a union", (a | b).grow("2px"), a.grow("2px") | b.grow("2px")
    yield "grow is monotone", (a & b).grow("2px") - a.grow("2px"), nothing
    yield "grow goes further", a.grow("1px") - a.grow("3px"), nothing


def _in_time(a: Expression, b: Expression, frames: Sequence[int]) -> Iterator[Law]:
    yield "smooth over one frame", a.smooth(1), a
    yield "smooth of the complement", (~a).smooth(3), ~a.smooth(3)
    yield "smooth is monotone", (a & b).smooth(3) - a.smooth(3), ALL - ALL
    middle = frames[len(frames) // 2]
    late = a.during(middle, frames[-1])
    yield "during the whole clip", a.during(0, frames[-1]), a
    yield "during the last frames", late.during(0, frames[-1]), late
    if middle:
        early = a.during(0, middle - 1)
        yield "during one range and another", early | late, a
        yield "during disjoint ranges", early & late, ALL - ALL


def _of_rest(binding: Binding) -> Iterator[Law]:
    counted = [Reference(name=name) for name in sorted(without_rest(binding.spec))]
    if len(counted) > 1:
        yield "rest", REST, ~Union(items=tuple(counted))
    elif counted:
        yield "rest", REST, ~counted[0]
    else:
        yield "rest", REST, ALL
