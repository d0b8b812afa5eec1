"""Region expressions as functions: ``masks("left") | box("0%", "0%", "50%", "100%")``.

>>> left, right = masks("masks/left"), masks("masks/right")
>>> (left | right) - box("40%", "0%", "60%", "100%")
Difference(items=(Union(items=(MaskFiles(path='masks/left'), MaskFiles(path='masks/right'))), \
Box(keyframes=(Keyframe(x0=Length.parse('40%'), y0=Length.parse('0%'), \
x1=Length.parse('60%'), y1=Length.parse('100%')),))))
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Literal, Unpack

from grainspec.diagnostics import refuse
from grainspec.model.algebra import (
    MAX_DEPTH,
    All,
    Box,
    Complement,
    Difference,
    During,
    Expression,
    Find,
    FindChoice,
    Grown,
    Intersection,
    MaskFiles,
    Operators,
    Polygon,
    Prompt,
    PromptShape,
    Referable,
    Reference,
    Rest,
    Shape,
    Smoothed,
    Track,
    Union,
    children,
    height,
    operand,
    references,
    require,
    shapes_of_prompts,
    uses_rest,
    walk,
)
from grainspec.model.arguments import MaskOptions
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
    Unit,
)
from grainspec.model.validation import made, python_text, short

__all__ = [
    "ALL",
    "MAX_DEPTH",
    "MAX_FRAME",
    "REST",
    "All",
    "Box",
    "Complement",
    "Difference",
    "During",
    "Expression",
    "Find",
    "FindChoice",
    "FrameNumber",
    "FrameRange",
    "Grown",
    "Intersection",
    "Keyframe",
    "Length",
    "MaskFiles",
    "Operators",
    "Outline",
    "Point",
    "Polygon",
    "Prompt",
    "PromptShape",
    "Referable",
    "Reference",
    "ResizeRule",
    "Rest",
    "Shape",
    "Sides",
    "Smoothed",
    "Track",
    "Union",
    "Unit",
    "box",
    "children",
    "ellipse",
    "find",
    "framed",
    "height",
    "masks",
    "moving",
    "named",
    "operand",
    "path_text",
    "point",
    "polygon",
    "references",
    "require",
    "shapes_of_prompts",
    "track",
    "uses_rest",
    "walk",
]


def named(name: str) -> Reference:
    """A reference to another region of the spec, by its name.

    >>> REST | named("left")
    Union(items=(Rest(), Reference(name='left')))
    """
    return made(Reference, name=name)


def masks(path: str | PurePath, **options: Unpack[MaskOptions]) -> MaskFiles:
    """Masks in files; white is the region unless an option says otherwise.

    The options have the names of the language, except ``first``, which is ``from`` there: Python
    reserves that word. :class:`~grainspec.model.algebra.MaskFiles` describes them.

    >>> masks("masks/left")
    MaskFiles(path='masks/left')
    >>> masks("davis/00", index=2, in_order=True)
    MaskFiles(path='davis/00', index=2, in_order=True)
    """
    return made(MaskFiles, path=path_text(path), **options)


def path_text(path: str | PurePath) -> str:
    """A path as the text that a spec stores."""
    return path.as_posix() if isinstance(path, PurePath) else path


def box(x0: str, y0: str, x1: str, y1: str) -> Box:
    """A box by its sides: left, top, right, bottom.

    >>> box("10%", "20%", "30%", "64px")
    Box(keyframes=(Keyframe(x0=Length.parse('10%'), y0=Length.parse('20%'), \
x1=Length.parse('30%'), y1=Length.parse('64px')),))
    """
    return _sides("box", x0, y0, x1, y1)


def ellipse(x0: str, y0: str, x1: str, y1: str) -> Box:
    """An ellipse by the sides of its bounding box: left, top, right, bottom.

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
        cure = "Give boxes, ellipses or polygons, each with `@ frame`."
        raise refuse("G205", "`moving` needs shapes of one kind", cure)
    keyframes = tuple(key for shape in shapes for key in shape.keyframes)
    return made(type(shapes[0]), kind=kinds.pop(), keyframes=keyframes)


def point(x: str, y: str) -> Prompt:
    """A point on an object, for :func:`track`; ``~point(…)`` is a point outside it.

    >>> point("30%", "55%") @ 0
    Prompt(shape=Point(x=Length.parse('30%'), y=Length.parse('55%')), frame=0)
    >>> (~point("80%", "80%")).outside
    True
    """
    return made(Prompt, shape=made(Point, x=Length.parse(x), y=Length.parse(y)))


def track(*prompts: Prompt | Box | Polygon | MaskFiles) -> Track:
    """An object that prompts show, followed through the clip.

    A prompt without ``@ frame`` is on the frame of the next one that has it, as in the language.
    If none has, all are on the first frame of the clip that the spec uses.

    >>> right = track(
    ...     point("70%", "50%"), ~point("80%", "80%") @ 0, box("50%", "40%", "75%", "90%") @ 24
    ... )
    >>> [(prompt.frame, prompt.outside) for prompt in right.prompts]
    [(0, False), (0, True), (24, False)]
    """
    return made(Track, prompts=framed([each for given in prompts for each in _prompts(given)]))


def framed(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """Prompts with their frames: one without a frame takes that of the next one that has it."""
    frame, result = None, []
    for prompt in reversed(prompts):
        frame = prompt.frame if prompt.frame is not None else frame
        result.append(prompt if prompt.frame == frame else prompt.replaced({}, frame=frame))
    return tuple(reversed(result))


def _prompts(given: object) -> list[Prompt]:
    """What a caller of :func:`track` gives, as prompts: one for each keyframe of a shape."""
    if isinstance(given, Prompt):
        return [given]
    if isinstance(given, MaskFiles):
        return [made(Prompt, shape=given)]
    if not isinstance(given, Box | Polygon):
        cure = 'Give points, boxes, outlines or masks: `track(point("30%", "55%") @ 0)`.'
        raise refuse("G205", f"`{short(python_text(given))}` is not a prompt", cure)
    return [
        made(
            Prompt,
            shape=made(type(given), kind=given.kind, keyframes=(key.replaced({}, frame=None),)),
            frame=key.frame,
        )
        for key in given.keyframes
    ]


def find(
    words: str,
    choice: FindChoice = "all",
    *,
    number: int | None = None,
    score: float = 0.3,
) -> Find:
    """The objects that words name on one frame, followed through the clip.

    ``number`` counts from the left, from 1; ``score`` is the least score, from 0 to 1. The frame is
    the first one of the clip that the spec uses, unless ``@ frame`` says another.

    >>> find("man in red", "leftmost") @ 12
    Find(words='man in red', choice='leftmost', frame=12)
    """
    return made(Find, words=words, choice=choice, number=number, score=score)


REST = Rest()
"""Everything outside all regions, except those that use ``REST`` themselves."""

ALL = All()
"""The whole of every frame."""
