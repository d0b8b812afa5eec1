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
from collections.abc import Iterator, Sequence
from pathlib import PurePath
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
from grainspec.model.names import Name, PathText
from grainspec.model.nodes import Node
from grainspec.model.numbers import decimal_text
from grainspec.model.validation import made, refusal

MAX_FRAME = 10_000_000
FrameNumber = Annotated[int, Field(ge=0, le=MAX_FRAME)]
Unit = Literal["%", "px"]

ResizeRule = Literal["nearest", "area", "any"]
"""Which pixels of a scaled mask are set: those with the mask set at their centre, those where it is
set in at least half of its pixels inside them, or in any."""


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
            raise refuse("G202", f"{text!r} is no length", cure)
        return made(cls, value=float(match[1]), unit=match[2])

    def pixels(self, extent: int) -> float:
        """In source pixels, of a frame ``extent`` pixels wide (or high)."""
        return self.value * extent / 100 if self.unit == "%" else self.value

    def __str__(self) -> str:
        return decimal_text(self.value) + self.unit

    def __repr__(self) -> str:
        return f"Length({self})"


class Operators:
    """The operators of regions; ``a | b | c`` is one union of three, as in the language.

    Their operands are expressions, and values that refer to a region (:class:`Referable`). Python's
    other operators, and ``and``, ``or`` and ``not``, raise G205, which names the one to use.

    >>> from grainspec import region
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
        """Documents say the kind, also where only a box is possible, as the schema has it."""
        if info.mode == "json" and "kind" not in self.model_fields_set:
            raise refusal("G204", "`kind` is missing", "")
        return self


def require(tag: str, schema: dict[str, Any]) -> None:
    """Have a JSON schema ask for the field that tells records apart: it has a default only here."""
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
    raise refuse("G205", f"{other!r} is no region expression", cure)


def _file_number(number: int) -> int:
    if abs(number) > MAX_FRAME:
        raise refusal(
            "G203", f"`from` is {number}", f"It must be from -{MAX_FRAME} to {MAX_FRAME}."
        )
    return number


def _colour(text: str) -> str:
    if not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise refusal("G202", f"{text!r} is no colour", 'Write red, green and blue, as "#800000".')
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

    kind: Literal["masks"] = "masks"
    path: PathText
    invert: bool = False
    """The region is where the masks are black."""
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of full white from which a pixel is in the region."""
    index: Annotated[int, Field(ge=0, le=65535)] | None = None
    """The region is where masks have this value: a palette's index, an array's number, or the id
    of an object in COCO's JSON."""
    colour: _Colour | None = None
    """The region is where masks have exactly this colour, such as ``#800000``."""
    array: PathText | None = None
    """Name of the array in an .npz file."""
    first: _FileNumber = 0
    """Number of the mask that belongs to source frame 0; ``from`` in the language."""
    in_order: bool = False
    """The k-th mask belongs to source frame k, whatever the files' numbers are."""
    scaled: bool = False
    """Masks of another size are scaled to the source frame's."""
    resize: ResizeRule = "nearest"
    """Which pixels are in the region where masks are scaled, alone or with the clip."""

    @model_validator(mode="after")
    def _one_way_to_choose_pixels(self) -> Self:
        ways = ("threshold", "index", "colour")
        used = [way for way in ways if getattr(self, way) != type(self).model_fields[way].default]
        if len(used) > 1:
            message = f"`{used[0]}` and `{used[1]}` exclude each other"
            cure = "Each says by itself which pixels are the region; leave one."
            raise refusal("G205", message, cure)
        return self


class FrameRange(Node):
    """Source frames ``first`` to ``last``, both included, counted from 0."""

    first: FrameNumber
    last: FrameNumber

    @model_validator(mode="after")
    def _in_order(self) -> FrameRange:
        if self.last < self.first:
            raise ValueError(f"the last frame ({self.last}) comes before the first ({self.first})")
        return self

    def __contains__(self, frame: object) -> bool:
        return isinstance(frame, int) and self.first <= frame <= self.last


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

    def numbers(self, width: int, height: int) -> Sides:
        """The same as :meth:`sides`."""
        return self.sides(width, height)


class _Moving(_Algebra):
    """A shape, interpolated linearly between its keyframes and held still outside them."""

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
            cure = "Write `@ frame` behind each shape, not behind all of them."
            raise refuse("G205", "this shape moves already", cure)
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

    kind: Literal["box", "ellipse"] = "box"
    keyframes: Annotated[tuple[Keyframe, ...], Field(min_length=1)]

    def sides(self, frame: int, width: int, height: int) -> Sides:
        """Left, top, right and bottom in source pixels at a source frame."""
        x0, y0, x1, y1 = self.numbers(frame, width, height)
        return x0, y0, x1, y1


class Point(Node):
    """A point of the source frame."""

    x: Length
    y: Length


class Outline(Node):
    """A polygon's points at a source frame; ``frame`` is None for one that never moves."""

    frame: FrameNumber | None = None
    points: Annotated[tuple[Point, ...], Field(min_length=3, max_length=1000)]

    def numbers(self, width: int, height: int) -> list[float]:
        """x and y of every point in turn, in pixels of a frame of this size."""
        found = []
        for point in self.points:
            found += [point.x.pixels(width), point.y.pixels(height)]
        return found

    def sides(self, width: int, height: int) -> Sides:
        """Left, top, right and bottom of the points, in pixels of a frame of this size."""
        return _around(self.numbers(width, height))


class Polygon(_Moving):
    """A polygon; where it crosses itself, the even-odd rule says what is inside."""

    kind: Literal["polygon"] = "polygon"
    keyframes: Annotated[tuple[Outline, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _points_match(self) -> Polygon:
        counts = {len(key.points) for key in self.keyframes}
        if len(counts) > 1:
            raise ValueError("every keyframe of a polygon needs the same number of points")
        return self

    def sides(self, frame: int, width: int, height: int) -> Sides:
        """Left, top, right and bottom of the points in source pixels at a source frame."""
        return _around(self.numbers(frame, width, height))


def _around(numbers: Sequence[float]) -> Sides:
    return min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])


Shape = TypeVar("Shape", Box, Polygon)


class Rest(_Algebra):
    """What no region of the spec covers that does not itself use it."""

    kind: Literal["rest"] = "rest"


class All(_Algebra):
    """The whole of every frame."""

    kind: Literal["all"] = "all"


class Reference(_Algebra):
    """Another region, by its name."""

    kind: Literal["reference"] = "reference"
    name: Name

    def _reference(self) -> Reference:
        """Itself."""
        return self


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


class Grown(_Algebra):
    """Every pixel within a distance of a region; shrunk, what is further than that inside it.

    Percent are of the source frame's shorter side.
    """

    kind: Literal["grow", "shrink"] = "grow"
    of: Expression
    by: Length

    @model_validator(mode="after")
    def _by_something(self) -> Grown:
        if self.by.value < 0:
            raise refusal("G203", f"`{self.kind}` is {self.by}", "It must be at least 0.")
        return self


class During(_Algebra):
    """A region on some source frames; on the others it is nowhere."""

    kind: Literal["during"] = "during"
    of: Expression
    frames: FrameRange


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


def named(name: str) -> Reference:
    """Another region of the spec, by its name.

    >>> REST | named("left")
    Union(items=(Rest(), Reference(name='left')))
    """
    return made(Reference, name=name)


def masks(
    path: str | PurePath,
    *,
    invert: bool = False,
    threshold: float = 0.5,
    index: int | None = None,
    colour: str | None = None,
    array: str | None = None,
    first: int = 0,
    in_order: bool = False,
    scaled: bool = False,
    resize: ResizeRule = "nearest",
) -> MaskFiles:
    """Masks in files; white is the region unless an option says otherwise.

    ``first`` is the language's ``from``, a word that Python keeps to itself; the other options are
    named as there, and :class:`MaskFiles` describes them.

    >>> masks("masks/left")
    MaskFiles(path='masks/left')
    >>> masks("davis/00", index=2, in_order=True)
    MaskFiles(path='davis/00', index=2, in_order=True)
    """
    return made(
        MaskFiles,
        path=path_text(path),
        invert=invert,
        threshold=threshold,
        index=index,
        colour=colour,
        array=array,
        first=first,
        in_order=in_order,
        scaled=scaled,
        resize=resize,
    )


def path_text(path: str | PurePath) -> str:
    """A path as specs hold it."""
    return path.as_posix() if isinstance(path, PurePath) else path


def box(x0: str, y0: str, x1: str, y1: str) -> Box:
    """A box by its sides: left, top, right, bottom.

    >>> box("10%", "20%", "30%", "64px")
    Box(keyframes=(Keyframe(x0=Length(10%), y0=Length(20%), x1=Length(30%), y1=Length(64px)),))
    """
    return _sides("box", x0, y0, x1, y1)


def ellipse(x0: str, y0: str, x1: str, y1: str) -> Box:
    """An ellipse by the sides that it touches: left, top, right, bottom.

    >>> ellipse("10%", "20%", "30%", "60%").kind
    'ellipse'
    """
    return _sides("ellipse", x0, y0, x1, y1)


def _sides(kind: Literal["box", "ellipse"], x0: str, y0: str, x1: str, y1: str) -> Box:
    left, top, right, bottom = (Length.parse(text) for text in (x0, y0, x1, y1))
    return made(Box, kind=kind, keyframes=(made(Keyframe, x0=left, y0=top, x1=right, y1=bottom),))


def polygon(*points: tuple[str, str]) -> Polygon:
    """A polygon by its corners ``(x, y)``.

    >>> polygon(("50%", "10%"), ("70%", "40%"), ("30%", "40%")).sides(0, 100, 100)
    (30.0, 10.0, 70.0, 40.0)
    """
    corners = tuple(made(Point, x=Length.parse(x), y=Length.parse(y)) for x, y in points)
    return made(Polygon, keyframes=(made(Outline, points=corners),))


def moving(*shapes: Shape) -> Shape:
    """A shape that moves linearly between source frames: ``box(…) @ 0, box(…) @ 30``.

    >>> eyes = moving(box("61%", "18%", "70%", "24%") @ 0, box("64%", "18%", "73%", "24%") @ 30)
    >>> eyes.sides(15, 100, 100)
    (62.5, 18.0, 71.5, 24.0)
    """
    kinds = {getattr(shape, "kind", None) for shape in shapes}
    if len(kinds) != 1 or not all(isinstance(shape, Box | Polygon) for shape in shapes):
        cure = "Give boxes, ellipses or polygons, all of one kind, each with `@ frame`."
        raise refuse("G205", "what moves is no one shape", cure)
    keyframes = tuple(key for shape in shapes for key in shape.keyframes)
    return made(type(shapes[0]), kind=kinds.pop(), keyframes=keyframes)


REST = Rest()
"""What no region covers that does not itself use ``REST``."""

ALL = All()
"""The whole of every frame."""
