"""Region expressions: where in the video, as typed immutable records.

Expressions combine with ``|`` (either), ``&`` (both), ``-`` (without) and ``~`` (everything else),
in Python as in the language. The functions that make the simplest ones are in
:mod:`grainspec.model.expressions`.

This file is longer than most: operators return expressions, and every expression has operators.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
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

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationInfo,
    model_validator,
)

from grainspec.diagnostics import refuse
from grainspec.model.declaration import HEAD, InText
from grainspec.model.names import WRITABLE, Name, PathText
from grainspec.model.nodes import Node
from grainspec.model.shapes import (
    MAX_FRAME,
    FrameNumber,
    FrameRange,
    Keyframe,
    Length,
    Outline,
    Point,
    ResizeRule,
    Sides,
    around,
)
from grainspec.model.validation import invalid_value, made, python_text, refusal, short, unfit


class Operators:
    """The operators of regions; ``a | b | c`` is one union of three, as in the language.

    Operands are expressions, or values that refer to a region (:class:`Referable`). ``and``,
    ``or``, ``not`` and Python's other operators raise G205, which names the operator to use.

    >>> from grainspec import REST, masks, named, region
    >>> left = region("left", masks("masks/left"))
    >>> REST - left
    Difference(items=(Rest(), Reference(name='left')))
    >>> left.grow("4px") & ~named("lake")
    Intersection(items=(Grown(of=Reference(name='left'), by=Length.parse('4px')), \
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
        """This region and every pixel within ``by`` of it, such as ``"2%"`` or ``"5px"``."""
        return made(Grown, kind="grow", of=operand(self), by=Length.parse(by))

    def shrink(self, by: str) -> Grown:
        """The pixels of this region that are further than ``by`` from its edge."""
        return made(Grown, kind="shrink", of=operand(self), by=Length.parse(by))

    def during(self, first: int, last: int) -> During:
        """This region on source frames ``first`` to ``last``; empty on all other frames."""
        frames = made(FrameRange, first=first, last=last)
        return made(During, of=operand(self), frames=frames)

    def smooth(self, frames: int) -> Smoothed:
        """The pixels that are in this region on most of ``frames`` (an odd number) neighbouring
        frames, this one in their middle."""
        if isinstance(frames, int) and 0 < frames < MAX_SMOOTHING and frames % 2 == 0:
            message = invalid_value(str(frames), "smooth", "an odd number of frames")
            cure = f"Write `.smooth({frames - 1})` or `.smooth({frames + 1})`."
            raise refuse("G203", message, cure)
        return made(Smoothed, of=operand(self), frames=frames)

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
        cure = "For the overlap write `left & right`; for the difference `left - right`."
        raise refuse("G205", "regions cannot be compared with `<`, `<=`, `>` or `>=`", cure)

    __le__ = __gt__ = __ge__ = __lt__


@runtime_checkable
class Referable(Protocol):
    """A value that refers to a named region: a Region, ``named(…)`` or a builder."""

    def _reference(self) -> Reference:
        """The reference to the region, for use in expressions."""
        ...


class _Algebra(Operators, Node):
    """Base of all expressions."""

    model_config = ConfigDict(json_schema_extra=lambda schema: require("kind", schema))

    @model_validator(mode="after")
    def _kind_is_given(self, info: ValidationInfo) -> Self:
        """Require ``kind`` in JSON documents, as the schema does, even if only one is possible."""
        if info.mode == "json" and "kind" not in self.model_fields_set:
            raise refusal("G204", "`kind` is missing", "")
        return self


def require(tag: str, schema: dict[str, Any]) -> None:
    """Make the discriminator field required in a JSON Schema, despite its default."""
    schema["required"] = [tag, *schema.get("required", [])]


_Joined = TypeVar("_Joined", bound="Union | Intersection | Difference")


def _joined(kind: type[_Joined], left: object, right: object) -> _Joined:
    """Combine both operands; if the left one is of the same kind, the right one is appended."""
    first = operand(left)
    items = first.items if isinstance(first, kind) else (first,)
    return made(kind, items=(*items, operand(right)))


def operand(other: object) -> Expression:
    """Return an operand as an expression.

    Raises GrainError (G205) for anything else, such as a name.
    """
    if isinstance(other, _Algebra):
        return other  # type: ignore[return-value]
    if isinstance(other, Referable):
        return other._reference()
    if isinstance(other, Prompt):
        cure = 'A region follows prompts: write `track(point("30%", "55%") @ 0)`.'
        raise refuse("G205", "a prompt is not a region expression", cure)
    cure = 'Write a region, such as `named("left")` or `masks("masks/left")`.'
    if isinstance(other, str) and other.isidentifier():
        cure = f'For the region of this name write `named("{other}")`.'
    elif isinstance(other, PurePath):
        cure = f'For masks in files write `masks("{other.as_posix()}")`.'
    shown = short(python_text(other))
    raise refuse("G205", f"`{shown}` is not a region expression", cure)


def _file_number(number: int) -> int:
    if abs(number) > MAX_FRAME:
        raise unfit("G203", f"a whole number from -{MAX_FRAME} to {MAX_FRAME}")
    return number


def _colour(text: str) -> str:
    if not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise unfit("G202", 'red, green and blue as six hex digits, such as `"#800000"`')
    return text.lower()


_FileNumber = Annotated[
    int,
    Field(json_schema_extra={"minimum": -MAX_FRAME, "maximum": MAX_FRAME}),
    AfterValidator(_file_number),
]
Colour = Annotated[
    str, Field(json_schema_extra={"pattern": "^#[0-9a-fA-F]{6}$"}), AfterValidator(_colour)
]

_MaskIndex = Annotated[int, Field(ge=0, le=2**31 - 1)]


class MaskFiles(_Algebra):
    """Masks in files; white pixels are in the region.

    ``path`` is a folder of images, a glob such as ``masks/left_*.png`` or a single image: the
    number that varies in their names is the frame. Or it is a video (.mp4 .mkv .mov .avi .webm), an
    array ``[F, H, W]`` (.npy .npz), a folder of arrays ``[H, W]``, or what a labelling tool wrote:
    COCO (.json), CVAT (.xml), or a folder of LabelMe or YOLO files.
    """

    kind: Annotated[Literal["masks"], HEAD] = Field(
        default="masks", description="The kind of expression: mask files."
    )
    path: Annotated[PathText, InText(kind="path", head=True)] = Field(
        description="A folder of images, arrays or labels, a glob, an image, a video, an array, or "
        "a COCO or CVAT file."
    )
    invert: bool = Field(
        default=False,
        description="Select the pixels that are black, or that do not match the other options.",
    )
    threshold: Annotated[
        Annotated[float, Field(gt=0, le=1)] | None,
        InText(kind="percent", absent="50%, of masks that are black and white"),
    ] = Field(
        default=None,
        description="For images, videos and arrays: the share of full white from which a pixel is "
        "in the region; 50% is 128 of 255. With it, masks may have any shades of grey.",
    )
    index: Annotated[_MaskIndex | None, InText(absent="none")] = Field(
        default=None,
        description="Select the pixels with this value: the index of a palette (as in DAVIS), a "
        "grey value or an array's number. In labels, select the object with this track, instance "
        "or object id; in YouTube-VIS, with this `id`; where no object has an id, the category.",
    )
    colour: Annotated[Colour | None, InText(absent="none")] = Field(
        default=None,
        description="For images and videos: select the pixels with exactly this colour, such as "
        '`"#800000"`.',
    )
    label: Annotated[PathText | None, InText(kind="text", absent="none")] = Field(
        default=None,
        description="For labels: select all objects of this category, by its name, or its number "
        "if it has no name; with `index`, the one with this number.",
    )
    alpha: bool = Field(
        default=False,
        description="For images: select the pixels that are opaque; their colours do not matter.",
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
        description="Match masks to source frames by order, not by number or time: the first mask "
        "belongs to frame 0.",
    )
    missing: Literal["refuse", "empty"] = Field(
        default="refuse",
        description="What holds for a frame without a mask: it is an error (`refuse`), or the "
        "region is `empty` there.",
    )
    scaled: bool = Field(
        default=False,
        description="Scale masks of another size, but of the same aspect ratio, to the source "
        "frame's size, instead of reporting an error.",
    )
    resize: ResizeRule = Field(
        default="nearest",
        description="Which pixels of a scaled mask are selected (masks are scaled by `scaled`, or "
        "with the clip): those whose centre is in the region (`nearest`), those with at least half "
        "of their area in it (`area`), or those that touch it (`any`, for thin objects).",
    )

    @model_validator(mode="after")
    def _one_way_to_choose_pixels(self) -> Self:
        ways = ("threshold", "index", "colour", "label", "alpha")
        used = [way for way in ways if getattr(self, way) != type(self).model_fields[way].default]
        if len(used) > 1 and used not in (["threshold", "alpha"], ["index", "label"]):
            message = f"`{used[0]}` and `{used[1]}` exclude each other"
            cure = "Both select the pixels of the region: keep one of them."
            raise refusal("G205", message, cure)
        return self

    def __matmul__(self, frame: int) -> Prompt:
        """The mask of one source frame, for :func:`~grainspec.model.expressions.track`."""
        return made(Prompt, shape=self, frame=frame)


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
        _require_no_frame(self.keyframes[0].frame)
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
    """A rectangle, or the ellipse that touches its four sides."""

    kind: Literal["box", "ellipse"] = Field(
        default="box",
        description="`box`, or `ellipse`: the ellipse that touches the sides of the box.",
    )
    keyframes: Annotated[tuple[Keyframe, ...], Field(min_length=1)] = Field(
        description="The sides at one or more source frames, in order."
    )

    def sides(self, frame: int, width: int, height: int) -> Sides:
        """Left, top, right and bottom in source pixels at a source frame."""
        x0, y0, x1, y1 = self.numbers(frame, width, height)
        return x0, y0, x1, y1


class Polygon(_Moving):
    """A polygon; if it crosses itself, the even-odd rule decides what is inside."""

    kind: Literal["polygon"] = Field(
        default="polygon", description="The kind of expression: a polygon."
    )
    keyframes: Annotated[tuple[Outline, ...], Field(min_length=1)] = Field(
        description="The corners at one or more source frames, in order."
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


def _kind_of_prompt(shape: Any) -> str:
    """The tag of a prompt's shape; a point in JSON has no ``kind``."""
    kind = shape.get("kind", "point") if isinstance(shape, dict) else _kind_of(shape)
    return "box" if kind == "ellipse" else str(kind)


def _kind_of(shape: Any) -> str:
    return str(getattr(shape, "kind", "point" if isinstance(shape, Point) else "?"))


_NO_PROMPT = {
    "code": "G202",
    "expected": "a point, a box, an ellipse, a polygon or masks",
    "text": "",
    "cure": "",
}

PromptShape = Annotated[
    Annotated[Point, Tag("point")]
    | Annotated[Box, Tag("box")]
    | Annotated[Polygon, Tag("polygon")]
    | Annotated[MaskFiles, Tag("masks")],
    Discriminator(
        _kind_of_prompt,
        custom_error_type="grain_unfit",
        custom_error_message="{expected}",
        custom_error_context=_NO_PROMPT,
    ),
]
"""What shows an object to a tracker: a point, a box, an outline, or its mask of one frame."""


class Prompt(Node):
    """What shows an object to a tracker on one frame: a point on it, a box, an outline or a mask.

    Its shape does not move: its ``frame`` says when it holds. A point may also be ``outside`` the
    object: ``not point(…)`` in the language, ``~point(…)`` in Python.
    """

    shape: PromptShape = Field(
        description="A point (an object with `x` and `y`), a box, an ellipse, a polygon or masks."
    )
    outside: bool = Field(default=False, description="Whether a point is outside the object.")
    frame: FrameNumber | None = Field(
        default=None, description="The source frame; null for the first frame of the clip in use."
    )

    @model_validator(mode="after")
    def _can_be_shown(self) -> Prompt:
        if self.outside and not isinstance(self.shape, Point):
            message = f"only a point can be outside an object, not `{self.shape.kind}(…)`"
            cure = "Subtract the area from the region: `track(…) - box(10%, 20%, 30%, 60%)`."
            raise refusal("G205", message, cure)
        if isinstance(self.shape, _Moving) and self.shape.keyframes[0].frame is not None:
            message = f"the `{self.shape.kind}` of a prompt has no keyframes"
            raise refusal("G205", message, "Give the prompt its `frame` instead.")
        return self

    def __matmul__(self, frame: int) -> Prompt:
        """This prompt on a source frame."""
        _require_no_frame(self.frame)
        return made(Prompt, **{**dict(self), "frame": frame})

    def __invert__(self) -> Prompt:
        """A point outside the object, for one on it."""
        return made(Prompt, **{**dict(self), "outside": not self.outside})

    def __bool__(self) -> NoReturn:
        cure = "For a point outside the object write `~point(…)`."
        raise refuse("G205", "a prompt has no truth value, so `not` does not work on it", cure)


def _require_no_frame(frame: int | None) -> None:
    """Raise GrainError (G205) for a second `@`, which would silently replace the first."""
    if frame is not None:
        raise refuse("G205", f"duplicate `@`: `@ {frame}` is given already", "Keep one of them.")


Prompts = Annotated[tuple[Prompt, ...], Field(min_length=1, max_length=1000)]


class Track(_Algebra):
    """An object, shown by prompts on one or more frames, and followed from there through the clip.

    Its masks are made once, by ``grain track``, for all tracked regions of a spec together: they
    exclude each other. Either every prompt has a frame, or none has: then all are on the first
    frame of the clip that the spec uses.
    """

    kind: Literal["track"] = Field(
        default="track", description="The kind of expression: a tracked object."
    )
    prompts: Prompts = Field(
        description="What shows the object: points on it and outside it, boxes, outlines, masks."
    )

    @model_validator(mode="after")
    def _on_frames_or_none(self) -> Track:
        if len({prompt.frame is None for prompt in self.prompts}) > 1:
            message = "some prompts of `track(…)` have a frame, and others have none"
            cure = "Write `@ frame` after the last prompt of each frame."
            raise refusal("G205", message, cure)
        return self

    def __matmul__(self, frame: int) -> NoReturn:
        message = f"`@ {short(python_text(frame))}` goes inside the brackets of `track(…)`"
        cure = 'Write it after a prompt: `track(point("30%", "55%") @ 0)`.'
        raise refuse("G205", message, cure)


FindChoice = Literal["all", "leftmost", "rightmost", "largest"]


class Find(_Algebra):
    """The objects that words name on one frame, followed from there through the clip.

    Objects on that frame are in order of their centres, from left to right.
    """

    kind: Annotated[Literal["find"], HEAD] = Field(
        default="find", description="The kind of expression: objects found by words."
    )
    words: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000),
        WRITABLE,
        InText(kind="text", head=True),
    ] = Field(description="The name of one kind of object, such as `man in red`.")
    choice: Annotated[FindChoice, HEAD] = Field(
        default="all",
        description="Which of the objects found: `all` of them, the `leftmost`, the `rightmost` or "
        "the `largest`.",
    )
    number: Annotated[Annotated[int, Field(ge=1, le=1000)] | None, InText(absent="all")] = Field(
        default=None,
        description="The object with this number, counted from the left, beginning with 1.",
    )
    score: Annotated[float, Field(ge=0, le=1), InText(kind="percent")] = Field(
        default=0.3, description="The least score of an object: how well it fits the words."
    )
    frame: Annotated[FrameNumber | None, HEAD] = Field(
        default=None,
        description="The source frame on which objects are found; null for the first frame of the "
        "clip in use.",
    )

    @model_validator(mode="after")
    def _one_choice(self) -> Find:
        if self.choice != "all" and self.number is not None:
            message = f"`{self.choice}` and `number {self.number}` exclude each other"
            raise refusal("G205", message, "Both select one object: keep one of them.")
        return self

    def __matmul__(self, frame: int) -> Find:
        """The objects found on this source frame."""
        _require_no_frame(self.frame)
        return made(Find, **{**dict(self), "frame": frame})


class Rest(_Algebra):
    """Everything outside all regions, except those that use ``rest`` themselves."""

    kind: Literal["rest"] = Field(
        default="rest", description="The kind of expression: everything outside all regions."
    )


class All(_Algebra):
    """The whole of every frame."""

    kind: Literal["all"] = Field(
        default="all", description="The kind of expression: the whole frame."
    )


class Reference(_Algebra):
    """A reference to a region by its name."""

    kind: Literal["reference"] = Field(
        default="reference", description="The kind of expression: a region by its name."
    )
    name: Name = Field(description="The name of the region.")

    def _reference(self) -> Reference:
        """Itself."""
        return self


class Union(_Algebra):
    """The union: pixels that are in at least one of the regions."""

    kind: Literal["union"] = Field(default="union", description="The kind of expression: a union.")
    items: Annotated[tuple[Expression, ...], Field(min_length=2)] = Field(
        description="The regions, at least two."
    )


class Intersection(_Algebra):
    """The intersection: pixels that are in every one of the regions."""

    kind: Literal["intersection"] = Field(
        default="intersection", description="The kind of expression: an intersection."
    )
    items: Annotated[tuple[Expression, ...], Field(min_length=2)] = Field(
        description="The regions, at least two."
    )


class Difference(_Algebra):
    """The difference: pixels of the first region that are in none of the others."""

    kind: Literal["difference"] = Field(
        default="difference", description="The kind of expression: a difference."
    )
    items: Annotated[tuple[Expression, ...], Field(min_length=2)] = Field(
        description="The regions, at least two."
    )


class Complement(_Algebra):
    """The complement: pixels that are not in the region."""

    kind: Literal["complement"] = Field(
        default="complement", description="The kind of expression: a complement."
    )
    of: Expression = Field(description="The region to invert.")


class Grown(_Algebra):
    """A region enlarged (``grow``) or reduced (``shrink``) by a distance.

    Percentages are of the source frame's shorter side.
    """

    kind: Literal["grow", "shrink"] = Field(
        default="grow", description="`grow` enlarges the region, `shrink` reduces it."
    )
    of: Expression = Field(description="The region.")
    by: Length = Field(
        description="The distance, in percent of the frame's shorter side or source pixels."
    )

    @model_validator(mode="after")
    def _by_something(self) -> Grown:
        if self.by.value < 0:
            message = invalid_value(str(self.by), self.kind, "a length of at least 0")
            raise refusal("G203", message, "")
        return self


class During(_Algebra):
    """A region on a range of source frames; it is empty on all others."""

    kind: Literal["during"] = Field(
        default="during", description="The kind of expression: a region on some frames only."
    )
    of: Expression = Field(description="The region.")
    frames: FrameRange = Field(description="The range of source frames.")


MAX_SMOOTHING = 999


class Smoothed(_Algebra):
    """A region smoothed over time, by majority over ``frames`` neighbouring frames.

    A pixel is in it on a frame if it is in the region on most of them, the frame in their middle.
    Neighbours are frames that the spec uses. Near the ends of the clip those that exist are
    counted; if as many of them are in the region as are not, the frame itself decides.
    """

    kind: Literal["smooth"] = Field(
        default="smooth", description="The kind of expression: a region smoothed over time."
    )
    of: Expression = Field(description="The region.")
    frames: Annotated[int, Field(ge=1, le=MAX_SMOOTHING)] = Field(
        description="How many neighbouring frames are counted, the frame itself included; odd."
    )

    @model_validator(mode="after")
    def _has_a_middle(self) -> Smoothed:
        if self.frames % 2 == 0:
            message = invalid_value(str(self.frames), "smooth", "an odd number of frames")
            cure = f"Write `smooth {self.frames - 1}` or `smooth {self.frames + 1}`."
            raise refusal("G203", message, cure)
        return self


Expression = Annotated[
    MaskFiles
    | Box
    | Polygon
    | Track
    | Find
    | Rest
    | All
    | Reference
    | Union
    | Intersection
    | Difference
    | Complement
    | Grown
    | During
    | Smoothed,
    Field(discriminator="kind"),
]

AnyRegion: TypeAlias = Expression | Referable
"""An operand of a region's operators."""

MAX_DEPTH = 50
"""The deepest nesting of an expression."""


def children(expression: Expression) -> tuple[Expression, ...]:
    """The operands of an expression; none for a source."""
    if isinstance(expression, Union | Intersection | Difference):
        return expression.items
    if isinstance(expression, Complement | Grown | During | Smoothed):
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
    """The number of levels of an expression; a source has one."""
    levels, row = 0, [expression]
    while row:
        levels += 1
        row = [child for node in row for child in children(node)]
    return levels


def shapes_of_prompts(expression: Expression) -> tuple[Point | Box | Polygon | MaskFiles, ...]:
    """What shows a tracked object; empty for all other expressions."""
    if isinstance(expression, Track):
        return tuple(prompt.shape for prompt in expression.prompts)
    return ()


def references(expression: Expression) -> list[Reference]:
    """The references in an expression, in order."""
    return [node for node in walk(expression) if isinstance(node, Reference)]


def uses_rest(expression: Expression) -> bool:
    """Whether ``rest`` occurs in the expression itself."""
    return any(isinstance(node, Rest) for node in walk(expression))
