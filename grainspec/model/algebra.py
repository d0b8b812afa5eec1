"""Region expressions: where in the video, as typed immutable records.

Expressions combine with ``|`` (either), ``&`` (both), ``-`` (without) and ``~`` (everything else),
in Python as in the language; the functions that make the simplest ones are in
:mod:`grainspec.model.expressions`.

One file, longer than most: an operator makes expressions, and every expression has the operators.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import (
    Annotated,
    Any,
    Literal,
    NoReturn,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
    runtime_checkable,
)

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, model_validator

from grainspec.diagnostics import refuse
from grainspec.model.declaration import HEAD, InText
from grainspec.model.names import Name, PathText
from grainspec.model.nodes import Node
from grainspec.model.shapes import (
    MAX_FRAME,
    FrameRange,
    Keyframe,
    Length,
    Outline,
    ResizeRule,
    Sides,
    around,
)
from grainspec.model.validation import made, refusal


class Operators:
    """The operators of regions; ``a | b | c`` is one union of three, as in the language.

    Their operands are expressions, and values that refer to a region (:class:`Referable`). Python's
    other operators, and ``and``, ``or`` and ``not``, raise G205, which names the one to use.

    >>> from grainspec import REST, masks, named, region
    >>> left = region("left", masks("masks/left"))
    >>> REST - left
    Difference(items=(Rest(), Reference(name='left')))
    >>> left.grow("4px") & ~named("lake")
    Intersection(items=(Grown(of=Reference(name='left'), by=Length(4px)), \
Complement(of=Reference(name='lake'))))
    """

    def __or__(self, other: AnyRegion) -> Union:
        return _joined(Union, self, other)

    def __ror__(self, other: AnyRegion) -> Union:
        return _joined(Union, other, self)

    def __and__(self, other: AnyRegion) -> Intersection:
        return _joined(Intersection, self, other)

    def __rand__(self, other: AnyRegion) -> Intersection:
        return _joined(Intersection, other, self)

    def __sub__(self, other: AnyRegion) -> Difference:
        return _joined(Difference, self, other)

    def __rsub__(self, other: AnyRegion) -> Difference:
        return _joined(Difference, other, self)

    def __invert__(self) -> Complement:
        return made(Complement, of=operand(self))

    def grow(self, by: str) -> Grown:
        """This region and all that is within ``by`` of it, such as ``"2%"`` or ``"5px"``."""
        return made(Grown, kind="grow", of=operand(self), by=Length.parse(by))

    def shrink(self, by: str) -> Grown:
        """What of this region is further than ``by`` from its edge."""
        return made(Grown, kind="shrink", of=operand(self), by=Length.parse(by))

    def during(self, first: int, last: int) -> During:
        """This region on source frames ``first`` to ``last``, and nowhere on the others."""
        frames = made(FrameRange, first=first, last=last)
        return made(During, of=operand(self), frames=frames)

    def __bool__(self) -> NoReturn:
        message = "a region has no truth value, so `and`, `or`, `not` and `if` do not work on it"
        cure = "Combine regions with `left & right`, `left | right` or `~left`."
        raise refuse("G205", message, f"{cure} Test for None with `is not None`.")

    def __add__(self, other: object) -> NoReturn:
        raise refuse("G205", "regions cannot be added with `+`", "Write `left | right`.")

    __radd__ = __add__

    def __xor__(self, other: object) -> NoReturn:
        cure = "Write `(left | right) - (left & right)`."
        raise refuse("G205", "regions have no operator `^`", cure)

    __rxor__ = __xor__

    def __lt__(self, other: object) -> NoReturn:
        cure = "What both share is `left & right`; one without the other is `left - right`."
        raise refuse("G205", "regions cannot be compared with `<`, `<=`, `>` or `>=`", cure)

    __le__ = __gt__ = __ge__ = __lt__


@runtime_checkable
class Referable(Protocol):
    """A value that refers to a named region: a Region, ``named(…)`` or a builder."""

    def _reference(self) -> Reference:
        """The region, as it is written in expressions."""
        ...


class _Algebra(Operators, Node):
    """Base of all expressions."""

    model_config = ConfigDict(json_schema_extra=lambda schema: require("kind", schema))

    @model_validator(mode="after")
    def _kind_is_said(self, info: ValidationInfo) -> Self:
        """JSON documents must give the kind, as in the schema, even if only a box is possible."""
        if info.mode == "json" and "kind" not in self.model_fields_set:
            raise refusal("G204", "`kind` is missing", "")
        return self


def require(tag: str, schema: dict[str, Any]) -> None:
    """Make the field that tells records apart required in a JSON schema, despite its default."""
    schema["required"] = [tag, *schema.get("required", [])]


_Joined = TypeVar("_Joined", bound="Union | Intersection | Difference")


def _joined(kind: type[_Joined], left: object, right: object) -> _Joined:
    """One expression of both operands; a left one of the same kind gets another item."""
    first = operand(left)
    items = first.items if isinstance(first, kind) else (first,)
    return made(kind, items=(*items, operand(right)))


def operand(other: object) -> Expression:
    """An operand as an expression.

    Raises GrainError (G205) for anything else, such as a name.
    """
    if isinstance(other, _Algebra):
        return other  # type: ignore[return-value]
    if isinstance(other, Referable):
        return other._reference()
    cure = "For another region write `named('left')`, which is `Reference(name='left')`."
    raise refuse("G205", f"{other!r} is not a region expression", cure)


def _file_number(number: int) -> int:
    if abs(number) > MAX_FRAME:
        raise refusal(
            "G203", f"`from` is {number}", f"It must be from -{MAX_FRAME} to {MAX_FRAME}."
        )
    return number


def _colour(text: str) -> str:
    if not re.fullmatch("#[0-9a-fA-F]{6}", text):
        cure = 'Write red, green and blue, such as "#800000".'
        raise refusal("G202", f"invalid colour {text!r}", cure)
    return text.lower()


_FileNumber = Annotated[
    int,
    Field(json_schema_extra={"minimum": -MAX_FRAME, "maximum": MAX_FRAME}),
    AfterValidator(_file_number),
]
_Colour = Annotated[
    str, Field(json_schema_extra={"pattern": "^#[0-9a-fA-F]{6}$"}), AfterValidator(_colour)
]


class MaskFiles(_Algebra):
    """Masks in files, white where the region is.

    ``path`` names a folder of images, a glob such as ``masks/left_*.png`` or one image, whose frame
    is the last number in its name; a video (.mp4 .mkv .mov .avi .webm), an array ``[F, H, W]``
    (.npy .npz) or COCO's JSON (.json), whose k-th frame is the source's.
    """

    kind: Annotated[Literal["masks"], HEAD] = Field(
        default="masks", description="Kind of expression: masks in files."
    )
    path: Annotated[PathText, HEAD] = Field(
        description="A folder of images, a glob, an image, a video, an array or COCO's JSON."
    )
    invert: bool = Field(
        default=False,
        description="The region is where the masks are black, or do not match `index` or `colour`.",
    )
    threshold: Annotated[float, Field(gt=0, le=1), InText(kind="percent")] = Field(
        default=0.5,
        description="For images, videos and arrays: the share of full white from which a pixel is "
        "in the region; 50% is 128 of 255.",
    )
    index: Annotated[Annotated[int, Field(ge=0, le=65535)] | None, InText(absent="none")] = Field(
        default=None,
        description="The region is where masks have this value: the index of a palette (as in "
        "DAVIS), a grey value or an array's number; in a COCO data set, objects with this track, "
        "instance or else category id; in YouTube-VIS, the object with this `id`.",
    )
    colour: Annotated[_Colour | None, InText(absent="none")] = Field(
        default=None,
        description="For images and videos: the region is where masks have exactly this colour, "
        'such as `"#800000"`.',
    )
    array: Annotated[PathText | None, InText(kind="text", absent="the only one")] = Field(
        default=None,
        description="The name of the array in an `.npz` file that has several.",
    )
    first: Annotated[_FileNumber, InText(keyword="from")] = Field(
        default=0, description="The number of the mask of source frame 0; may be negative."
    )
    in_order: bool = Field(
        default=False,
        description="The *k*-th mask, by number, belongs to source frame *k*, whatever its own "
        "number is.",
    )
    scaled: bool = Field(
        default=False,
        description="Scale masks of another size to the source frame's size, instead of reporting "
        "an error.",
    )
    resize: ResizeRule = Field(
        default="nearest",
        description="Which pixels are in the region where masks are scaled, by `scaled` or with "
        "the clip: those whose centre is in it (`nearest`), those with at least half of their area "
        "in it (`area`), or those with any of it (`any`, for thin objects).",
    )

    @model_validator(mode="after")
    def _one_way_to_choose_pixels(self) -> Self:
        ways = ("threshold", "index", "colour")
        used = [way for way in ways if getattr(self, way) != type(self).model_fields[way].default]
        if len(used) > 1:
            message = f"`{used[0]}` and `{used[1]}` exclude each other"
            cure = "Each says which pixels are the region: keep one of them."
            raise refusal("G205", message, cure)
        return self


class _Moving(_Algebra):
    """A shape, interpolated linearly between its keyframes and constant outside them."""

    keyframes: tuple[Any, ...]

    @model_validator(mode="after")
    def _frames_rise(self) -> Self:
        frames = [key.frame for key in self.keyframes]
        if frames == [None]:
            return self
        known = [frame for frame in frames if frame is not None]
        if len(known) < len(frames):
            raise ValueError("every keyframe needs its frame, as in `box(…) @ 0, box(…) @ 30`")
        if sorted(set(known)) != known:
            raise ValueError("keyframes must be in order of their frames, each frame once")
        return self

    def __matmul__(self, frame: int) -> Self:
        """This shape at a source frame, for :func:`moving`."""
        if len(self.keyframes) > 1:
            cure = "Write `@ frame` after each shape, not after all of them."
            raise refuse("G205", "this shape already moves", cure)
        placed = made(type(self.keyframes[0]), **{**dict(self.keyframes[0]), "frame": frame})
        return made(type(self), **{**dict(self), "keyframes": (placed,)})

    def numbers(self, frame: int, width: int, height: int) -> list[float]:
        """The keyframes' numbers at a source frame, in source pixels."""
        keys = self.keyframes
        after = bisect_left(keys, frame, key=lambda key: key.frame or 0)
        one, other = keys[max(after - 1, 0)], keys[min(after, len(keys) - 1)]
        start, end = one.numbers(width, height), other.numbers(width, height)
        if one is other or one.frame is None or other.frame is None:
            return list(start)
        share = (frame - one.frame) / (other.frame - one.frame)
        pairs = zip(start, end, strict=True)
        return [low * (1 - share) + high * share for low, high in pairs]


class Box(_Moving):
    """A rectangle, or the ellipse that touches its sides."""

    kind: Literal["box", "ellipse"] = Field(
        default="box", description="A rectangle, or the ellipse that touches its sides."
    )
    keyframes: Annotated[tuple[Keyframe, ...], Field(min_length=1)] = Field(
        description="Its sides, at one or more source frames in order."
    )

    def sides(self, frame: int, width: int, height: int) -> Sides:
        """Left, top, right and bottom in source pixels at a source frame."""
        x0, y0, x1, y1 = self.numbers(frame, width, height)
        return x0, y0, x1, y1


class Polygon(_Moving):
    """A polygon; where it crosses itself, the even-odd rule says what is inside."""

    kind: Literal["polygon"] = Field(
        default="polygon", description="Kind of expression: a polygon."
    )
    keyframes: Annotated[tuple[Outline, ...], Field(min_length=1)] = Field(
        description="Its corners, at one or more source frames in order."
    )

    @model_validator(mode="after")
    def _points_match(self) -> Polygon:
        counts = {len(key.points) for key in self.keyframes}
        if len(counts) > 1:
            raise ValueError("every keyframe of a polygon needs the same number of points")
        return self

    def sides(self, frame: int, width: int, height: int) -> Sides:
        """Left, top, right and bottom of the points in source pixels at a source frame."""
        return around(self.numbers(frame, width, height))


Shape = TypeVar("Shape", Box, Polygon)


class Rest(_Algebra):
    """Everything outside all regions, except those that use ``rest`` themselves."""

    kind: Literal["rest"] = Field(
        default="rest", description="Kind of expression: what is left over."
    )


class All(_Algebra):
    """The whole of every frame."""

    kind: Literal["all"] = Field(default="all", description="Kind of expression: the whole frame.")


class Reference(_Algebra):
    """Another region, by its name."""

    kind: Literal["reference"] = Field(
        default="reference", description="Kind of expression: another region."
    )
    name: Name = Field(description="The name of the other region.")

    def _reference(self) -> Reference:
        """Itself."""
        return self


class Union(_Algebra):
    """Where at least one of its items is."""

    kind: Literal["union"] = Field(default="union", description="Kind of expression: either.")
    items: Annotated[tuple[Expression, ...], Field(min_length=2)] = Field(
        description="The regions, at least two."
    )


class Intersection(_Algebra):
    """Where all of its items are."""

    kind: Literal["intersection"] = Field(
        default="intersection", description="Kind of expression: all at once."
    )
    items: Annotated[tuple[Expression, ...], Field(min_length=2)] = Field(
        description="The regions, at least two."
    )


class Difference(_Algebra):
    """Where its first item is and none of the others."""

    kind: Literal["difference"] = Field(
        default="difference", description="Kind of expression: the first without the others."
    )
    items: Annotated[tuple[Expression, ...], Field(min_length=2)] = Field(
        description="The regions, at least two."
    )


class Complement(_Algebra):
    """Where its operand is not."""

    kind: Literal["complement"] = Field(
        default="complement", description="Kind of expression: everything else."
    )
    of: Expression = Field(description="The region that is left out.")


class Grown(_Algebra):
    """Every pixel within a distance of a region, or the pixels further than that inside it.

    Percentages are of the source frame's shorter side.
    """

    kind: Literal["grow", "shrink"] = Field(
        default="grow", description="Larger or smaller than the region."
    )
    of: Expression = Field(description="The region.")
    by: Length = Field(
        description="The distance, in percent of the frame's shorter side or source pixels."
    )

    @model_validator(mode="after")
    def _by_something(self) -> Grown:
        if self.by.value < 0:
            raise refusal("G203", f"`{self.kind}` is {self.by}", "It must be at least 0.")
        return self


class During(_Algebra):
    """A region on some source frames; on the others it is empty."""

    kind: Literal["during"] = Field(
        default="during", description="Kind of expression: on some frames only."
    )
    of: Expression = Field(description="The region.")
    frames: FrameRange = Field(description="The source frames.")


Expression = Annotated[
    MaskFiles
    | Box
    | Polygon
    | Rest
    | All
    | Reference
    | Union
    | Intersection
    | Difference
    | Complement
    | Grown
    | During,
    Field(discriminator="kind"),
]

AnyRegion: TypeAlias = Expression | Referable
"""An operand of a region's operators."""

MAX_DEPTH = 50
"""How deep an expression may nest."""


def children(expression: Expression) -> tuple[Expression, ...]:
    """The operands of an expression; none for a source."""
    if isinstance(expression, Union | Intersection | Difference):
        return expression.items
    if isinstance(expression, Complement | Grown | During):
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
