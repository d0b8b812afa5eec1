"""The shapes of a spec at a frame, as an editor draws them over the picture."""

from __future__ import annotations

from dataclasses import dataclass

from lark import Token

from grainspec.analysis.document import Document
from grainspec.analysis.gestures.lengths import Extent, Share, sides_of
from grainspec.analysis.gestures.spec_text import spec_text_of
from grainspec.analysis.gestures.written_shapes import WrittenShape, range_at, written_shapes
from grainspec.diagnostics import GrainError
from grainspec.model.shapes import Point

_ONE = (1, 1)


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape of a region at a frame.

    ``points`` are x and y as shares of the source frame: the place of a point, the top left and
    bottom right corners of a box or ellipse, the corners of a polygon. ``start`` and ``end`` are
    the offsets of its text: of the keyframe or prompt that stands at the frame, else of all its
    keyframes.
    """

    region: str
    index: int
    """Its number among the shapes of its region, from 0; the same on all frames."""
    kind: str
    """`point`, `box`, `ellipse` or `polygon`."""
    points: tuple[tuple[Share, Share], ...]
    start: int
    end: int
    prompt: bool
    """Whether it shows an object to a tracker, which is on this frame only."""
    inside: bool
    """False for `not point(…)`."""
    keyframes: tuple[int, ...]
    """The frames of its keyframes; empty if it does not move."""


def shapes(document: Document, frame: int, extent: Extent | None = None) -> list[Shape]:
    """The shapes of every region at a source frame, interpolated between their keyframes.

    Prompts are on their own frame only. Regions that cannot be read have none, nor have shapes in
    pixels while the size of the clip is not known. Raises GrainError (G006) for what is not text
    of a spec.

    >>> from grainspec.analysis.document import Document
    >>> text = "region eyes = box(0%, 0%, 10%, 10%) @ 0, box(20%, 0%, 30%, 10%) @ 10"
    >>> [shape.points for shape in shapes(Document(text, None), 5)]
    [((0.1, 0.0), (0.2, 0.1))]
    """
    mark = document.text.startswith("\ufeff")
    written = spec_text_of(document.text[mark:])
    found = []
    for name, region in written.regions.items():
        try:
            drawn = written_shapes(region)
        except GrainError:
            continue
        for index, drawing in enumerate(drawn):
            points = _points(drawing, frame, written.first_frame, extent)
            if points:
                start, end = range_at(drawing, frame)
                found.append(_described(name, index, drawing, points, start + mark, end + mark))
    return found


def points_at(drawing: WrittenShape, frame: int, extent: Extent | None) -> list[Share] | None:
    """x and y in turn as shares of the frame; None for masks, or without the size in pixels."""
    shape = drawing.shape
    if shape is None or (extent is None and any(t.type == "PIXELS" for t in _lengths(drawing))):
        return None
    width, height = sides_of(extent) or _ONE
    if isinstance(shape, Point):
        numbers = [shape.x.pixels(width), shape.y.pixels(height)]
    else:
        numbers = shape.numbers(frame, width, height)
    return [number / (width, height)[place % 2] for place, number in enumerate(numbers)]


def _lengths(drawing: WrittenShape) -> list[Token]:
    return [token for key in drawing.keys for token in key.numbers]


def _points(
    drawing: WrittenShape, frame: int, first: int | None, extent: Extent | None
) -> list[Share] | None:
    if drawing.track is not None:
        stands = drawing.key.frame if drawing.key.frame is not None else first
        if stands != frame:
            return None
    return points_at(drawing, frame, extent)


def _described(
    name: str, index: int, drawing: WrittenShape, numbers: list[Share], start: int, end: int
) -> Shape:
    frames = [key.frame for key in drawing.keys if drawing.moves and key.frame is not None]
    return Shape(
        region=name,
        index=index,
        kind=drawing.kind,
        points=tuple(zip(numbers[::2], numbers[1::2], strict=True)),
        start=start,
        end=end,
        prompt=drawing.track is not None,
        inside=drawing.inside,
        keyframes=tuple(frames),
    )
