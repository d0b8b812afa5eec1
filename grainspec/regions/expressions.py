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
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import PurePath
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationInfo, model_validator

from grainspec.diagnostics import fail
from grainspec.names import Name, PathText
from grainspec.nodes import Node
from grainspec.numbers import decimal_text
from grainspec.validation import made, refusal

FrameNumber = Annotated[int, Field(ge=0, le=10_000_000)]
Unit = Literal["%", "px"]


Sides = tuple[float, float, float, float]


class Length(Node):
    """A position or distance: percent of the source frame's width or height, or source pixels."""

    value: Annotated[float, Field(ge=-1e6, le=1e6)]
    unit: Unit

    @classmethod
    def parse(cls, text: str) -> Length:
        """Read ``'61%'`` or ``'40px'``."""
        match = re.fullmatch(r"\s*([+-]?(?:\d+(?:\.\d+)?|\.\d+))\s*(%|px)\s*", str(text))
        if not match:
            cure = "Write percent, as '61%', or pixels, as '40px'."
            raise fail("G202", f"{text!r} is no length", cure)
        return made(cls, value=float(match[1]), unit=match[2])

    def pixels(self, extent: int) -> float:
        """In source pixels, of a frame ``extent`` pixels wide (or high)."""
        return self.value * extent / 100 if self.unit == "%" else self.value

    def __str__(self) -> str:
        return decimal_text(self.value) + self.unit

    def __repr__(self) -> str:
        return f"Length({self})"


class _Algebra(Node):
    """Gives every expression its operators; ``a | b | c`` is one union of three, as in the text."""

    model_config = ConfigDict(json_schema_extra=lambda schema: require("kind", schema))

    @model_validator(mode="after")
    def _kind_is_said(self, info: ValidationInfo) -> Self:
        """Documents say the kind, also where only a box is possible, as the schema has it."""
        if info.mode == "json" and "kind" not in self.model_fields_set:
            raise refusal("G204", "`kind` is missing", "")
        return self

    def __or__(self, other: Expression) -> Union:
        return Union(items=(*_operands(Union, self), operand(other)))

    def __and__(self, other: Expression) -> Intersection:
        return Intersection(items=(*_operands(Intersection, self), operand(other)))

    def __sub__(self, other: Expression) -> Difference:
        return Difference(items=(*_operands(Difference, self), operand(other)))

    def __invert__(self) -> Complement:
        return Complement(of=self)


def require(tag: str, schema: dict[str, Any]) -> None:
    """Have a JSON schema ask for the field that tells records apart: it has a default only here."""
    schema["required"] = [tag, *schema.get("required", [])]


def _operands(kind: type[Union | Intersection | Difference], one: Any) -> tuple[Expression, ...]:
    return one.items if isinstance(one, kind) else (one,)


def operand(other: Any) -> Expression:
    """The same expression; raises GrainError (G205) for anything else, such as a name."""
    if not isinstance(other, _Algebra):
        cure = "For another region write `named('left')`, which is `Reference(name='left')`."
        raise fail("G205", f"{other!r} is no region expression", cure)
    return other  # type: ignore[return-value]


class MaskFiles(_Algebra):
    """Mask images, white where the region is: a folder, or a glob such as ``masks/left_*.png``.

    The last number in a file's name is the source frame that it belongs to.
    """

    kind: Literal["masks"] = "masks"
    path: PathText
    invert: bool = False
    """The region is where the masks are black."""


class Keyframe(Node):
    """A box at a source frame; ``frame`` is None for a box that never moves."""

    frame: FrameNumber | None = None
    x0: Length
    y0: Length
    x1: Length
    y1: Length

    def sides(self, width: int, height: int) -> Sides:
        """Left, top, right and bottom in pixels of a frame of this size."""
        x0, x1 = self.x0.pixels(width), self.x1.pixels(width)
        y0, y1 = self.y0.pixels(height), self.y1.pixels(height)
        return x0, y0, x1, y1


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

    def sides(self, frame: int, width: int, height: int) -> Sides:
        """Left, top, right and bottom in source pixels at a source frame."""
        keys = self.keyframes
        after = bisect_left(keys, frame, key=lambda key: key.frame or 0)
        one, other = keys[max(after - 1, 0)], keys[min(after, len(keys) - 1)]
        start, end = one.sides(width, height), other.sides(width, height)
        if one is other or one.frame is None or other.frame is None:
            return start
        share = (frame - one.frame) / (other.frame - one.frame)
        x0, y0, x1, y1 = (
            low * (1 - share) + high * share for low, high in zip(start, end, strict=True)
        )
        return x0, y0, x1, y1


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


def height(expression: Expression) -> int:
    """How many levels an expression has; a source has one."""
    levels, row = 0, [expression]
    while row:
        levels += 1
        row = [child for node in row for child in children(node)]
    return levels


def references(expression: Expression) -> list[Reference]:
    """The names an expression uses, in order."""
    return [node for node in walk(expression) if isinstance(node, Reference)]


def uses_rest(expression: Expression) -> bool:
    """Whether ``rest`` occurs in the expression itself."""
    return any(isinstance(node, Rest) for node in walk(expression))


def named(name: str) -> Reference:
    """Another region of the spec, by its name.

    >>> REST | named("left")
    Union(items=(Rest(), Reference(name='left')))
    """
    return made(Reference, name=name)


def masks(path: str | PurePath, *, invert: bool = False) -> MaskFiles:
    """Mask images in a folder or matching a glob; white is the region unless ``invert``.

    >>> masks("masks/left")
    MaskFiles(path='masks/left')
    """
    return made(MaskFiles, path=path_text(path), invert=invert)


def path_text(path: str | PurePath) -> str:
    """A path as specs hold it."""
    return path.as_posix() if isinstance(path, PurePath) else path


def keyframe(frame: int | None, x0: str, y0: str, x1: str, y1: str) -> Keyframe:
    """One keyframe of a box: corners as lengths such as ``'61%'`` or ``'40px'``."""
    corners = [Length.parse(text) for text in (x0, y0, x1, y1)]
    fields = dict(zip(("x0", "y0", "x1", "y1"), corners, strict=True))
    return made(Keyframe, frame=frame, **fields)


def box(x0: str, y0: str, x1: str, y1: str) -> Box:
    """A box that never moves: left, top, right, bottom.

    >>> box("10%", "20%", "30%", "64px")
    Box(keyframes=(Keyframe(x0=Length(10%), y0=Length(20%), x1=Length(30%), y1=Length(64px)),))
    """
    return made(Box, keyframes=(keyframe(None, x0, y0, x1, y1),))


def moving_box(*keyframes: tuple[int, str, str, str, str]) -> Box:
    """A box that moves linearly between keyframes ``(frame, x0, y0, x1, y1)``.

    >>> eyes = moving_box((0, "61%", "18%", "70%", "24%"), (30, "64%", "18%", "73%", "24%"))
    >>> [key.frame for key in eyes.keyframes]
    [0, 30]
    """
    return made(Box, keyframes=tuple(keyframe(*key) for key in keyframes))


REST = Rest()
"""What no other region covers."""

ALL = All()
"""The whole of every frame."""
