"""Region expressions: where in the video, as typed immutable records.

Expressions combine with ``|`` (either), ``&`` (both), ``-`` (without) and ``~`` (everything else),
in Python as in the language:

>>> left, right = MaskFiles(path="masks/left"), MaskFiles(path="masks/right")
>>> (left | right) - box("40%", "0%", "60%", "100%")
Difference(items=(Union(items=(MaskFiles(path='masks/left'), MaskFiles(path='masks/right'))), \
Box(keyframes=(Keyframe(x0=Length(40%), y0=Length(0%), x1=Length(60%), y1=Length(100%)),))))
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from grainspec.nodes import Node

Name = Annotated[str, Field(pattern=r"^[^\W\d]\w*$", max_length=100)]
Unit = Literal["%", "px"]


class Length(Node):
    """A position or distance: percent of the source frame's width or height, or source pixels."""

    value: Annotated[float, Field(ge=-1e6, le=1e6)]
    unit: Unit

    @classmethod
    def parse(cls, text: str) -> Length:
        """Read ``'61%'`` or ``'40px'``."""
        match = re.fullmatch(r"\s*([+-]?(?:\d+(?:\.\d+)?|\.\d+))\s*(%|px)\s*", text)
        if not match:
            raise ValueError(
                f"{text!r} is no length: write percent, as '61%', or pixels, as '40px'"
            )
        return cls(value=float(match[1]), unit=match[2])

    def pixels(self, extent: int) -> float:
        """In source pixels, of a frame ``extent`` pixels wide (or high)."""
        return self.value * extent / 100 if self.unit == "%" else self.value

    def __str__(self) -> str:
        return f"{self.value:.10g}{self.unit}"

    def __repr__(self) -> str:
        return f"Length({self})"


class _Algebra(Node):
    """Gives every expression its operators."""

    def __or__(self, other: Expression) -> Union:
        return Union(items=(self, other))

    def __and__(self, other: Expression) -> Intersection:
        return Intersection(items=(self, other))

    def __sub__(self, other: Expression) -> Difference:
        return Difference(items=(self, other))

    def __invert__(self) -> Complement:
        return Complement(of=self)


class MaskFiles(_Algebra):
    """Mask images, white where the region is: a folder, or a glob such as ``masks/left_*.png``.

    The last number in a file's name is the source frame that it belongs to.
    """

    kind: Literal["masks"] = "masks"
    path: Annotated[str, Field(min_length=1)]
    invert: bool = False
    """The region is where the masks are black."""


class Keyframe(Node):
    """A box at a source frame; ``frame`` is None for a box that never moves."""

    frame: Annotated[int, Field(ge=0)] | None = None
    x0: Length
    y0: Length
    x1: Length
    y1: Length


class Box(_Algebra):
    """A rectangle, interpolated linearly between its keyframes and held still outside them."""

    kind: Literal["box"] = "box"
    keyframes: Annotated[tuple[Keyframe, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _frames_rise(self) -> Box:
        frames = [key.frame for key in self.keyframes]
        if frames == [None]:
            return self
        known = [frame for frame in frames if frame is not None]
        if len(known) < len(frames):
            raise ValueError("every keyframe needs its frame, as in `box(…) @ 0, box(…) @ 30`")
        if sorted(set(known)) != known:
            raise ValueError("keyframes must be in order of their frames, each frame once")
        return self


class Rest(_Algebra):
    """What no other region of the spec covers."""

    kind: Literal["rest"] = "rest"


class All(_Algebra):
    """The whole of every frame."""

    kind: Literal["all"] = "all"


class Reference(_Algebra):
    """Another region, by its name."""

    kind: Literal["reference"] = "reference"
    name: Name


class Union(_Algebra):
    """Where at least one of its items is."""

    kind: Literal["union"] = "union"
    items: Annotated[tuple[Expression, ...], Field(min_length=2)]


class Intersection(_Algebra):
    """Where all of its items are."""

    kind: Literal["intersection"] = "intersection"
    items: Annotated[tuple[Expression, ...], Field(min_length=2)]


class Difference(_Algebra):
    """Where its first item is and none of the others."""

    kind: Literal["difference"] = "difference"
    items: Annotated[tuple[Expression, ...], Field(min_length=2)]


class Complement(_Algebra):
    """Where its operand is not."""

    kind: Literal["complement"] = "complement"
    of: Expression


Expression = Annotated[
    MaskFiles | Box | Rest | All | Reference | Union | Intersection | Difference | Complement,
    Field(discriminator="kind"),
]

MAX_DEPTH = 50
"""How deep an expression may nest."""


def children(expression: Expression) -> tuple[Expression, ...]:
    """The operands of an expression; none for a source."""
    if isinstance(expression, Union | Intersection | Difference):
        return expression.items
    if isinstance(expression, Complement):
        return (expression.of,)
    return ()


def walk(expression: Expression) -> Iterator[Expression]:
    """The expression and everything inside it, outermost first."""
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(children(node)))


def references(expression: Expression) -> list[Reference]:
    """The names an expression uses, in order."""
    return [node for node in walk(expression) if isinstance(node, Reference)]


def uses_rest(expression: Expression) -> bool:
    """Whether ``rest`` occurs in the expression itself."""
    return any(isinstance(node, Rest) for node in walk(expression))


def masks(path: str, *, invert: bool = False) -> MaskFiles:
    """Mask images in a folder or matching a glob; white is the region unless ``invert``.

    >>> masks("masks/left")
    MaskFiles(path='masks/left')
    """
    return MaskFiles(path=path, invert=invert)


def keyframe(frame: int | None, x0: str, y0: str, x1: str, y1: str) -> Keyframe:
    """One keyframe of a box: corners as lengths such as ``'61%'`` or ``'40px'``."""
    corners = [Length.parse(text) for text in (x0, y0, x1, y1)]
    return Keyframe(frame=frame, x0=corners[0], y0=corners[1], x1=corners[2], y1=corners[3])


def box(x0: str, y0: str, x1: str, y1: str) -> Box:
    """A box that never moves: left, top, right, bottom.

    >>> box("10%", "20%", "30%", "64px")
    Box(keyframes=(Keyframe(x0=Length(10%), y0=Length(20%), x1=Length(30%), y1=Length(64px)),))
    """
    return Box(keyframes=(keyframe(None, x0, y0, x1, y1),))


def moving_box(*keyframes: tuple[int, str, str, str, str]) -> Box:
    """A box that moves linearly between keyframes ``(frame, x0, y0, x1, y1)``.

    >>> eyes = moving_box((0, "61%", "18%", "70%", "24%"), (30, "64%", "18%", "73%", "24%"))
    >>> [key.frame for key in eyes.keyframes]
    [0, 30]
    """
    return Box(keyframes=tuple(keyframe(*key) for key in keyframes))


REST = Rest()
"""What no other region covers."""

ALL = All()
"""The whole of every frame."""
