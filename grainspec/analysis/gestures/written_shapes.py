"""The shapes of a region as they are written: their calls, keyframes and numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lark import Token, Tree

from grainspec.analysis.gestures.spec_text import WrittenRegion
from grainspec.diagnostics import GrainError
from grainspec.model.algebra import Box, Polygon
from grainspec.model.shapes import Point
from grainspec.text.kinds import integer_of
from grainspec.text.records import token_of
from grainspec.text.regions import RegionReader
from grainspec.text.settings import word_span
from grainspec.text.shapes import SHAPES
from grainspec.text.tracked import Argument, arguments_of, call_of


@dataclass(frozen=True)
class Key:
    """One call that draws a shape, such as `box(…) @ 12`; ``end`` is after its frame, if any.

    ``frame`` is that of its keyframe or prompt, None if it does not move.
    """

    call: Tree[Token]
    frame: int | None
    start: int
    end: int

    @property
    def numbers(self) -> list[Token]:
        """Its lengths, x and y in turn."""
        parts = [part for part in self.call.children[1:] if isinstance(part, Tree)]
        return [token_of(word) for part in parts for word in part.children]


@dataclass(frozen=True)
class WrittenShape:
    """A shape in a region's expression: a keyframe or several, or a prompt of `track(…)`."""

    kind: str
    """`point`, `box`, `ellipse` or `polygon`; `masks` only for a prompt."""
    shape: Point | Box | Polygon | None
    """None for masks."""
    keys: tuple[Key, ...]
    track: Track | None = None
    """The call that it is a prompt of."""
    inside: bool = True
    """False for `not point(…)`."""

    @property
    def moves(self) -> bool:
        """Whether it has keyframes; a prompt has none."""
        return self.track is None and self.keys[0].frame is not None

    @property
    def key(self) -> Key:
        """Its first keyframe, or the only one."""
        return self.keys[0]

    def at(self, frame: int) -> Key | None:
        """The keyframe that stands at a frame; the only one if it does not move."""
        if not self.moves:
            return self.keys[0]
        return next((key for key in self.keys if key.frame == frame), None)


@dataclass(frozen=True)
class Track:
    """A call of `track(…)`, with its prompts in order."""

    call: Tree[Token]
    prompts: list[WrittenShape] = field(default_factory=list)


def written_shapes(region: WrittenRegion) -> list[WrittenShape]:
    """The shapes of a region, in the order of the text, prompts and their masks among them.

    Raises GrainError with the findings about the region if it cannot be read.
    """
    reader = RegionReader()
    reader.expression(region.expression)
    if reader.findings:
        raise GrainError(reader.findings)
    return list(_drawings(region.expression, reader))


def _drawings(part: Tree[Token], reader: RegionReader) -> Iterator[WrittenShape]:
    if part.data == "keyframes":
        keyed = [_keyframe(child) for child in part.children if isinstance(child, Tree)]
        keys = tuple(
            Key(call, integer_of(frame), call.meta.start_pos, frame.end_pos or 0)
            for frame, call in keyed
        )
        yield _shape(keys, reader.shape([*keyed], word_span(part)))
    elif part.data != "call":
        for child in part.children:
            if isinstance(child, Tree):
                yield from _drawings(child, reader)
    elif str(part.children[0]) in SHAPES:
        key = Key(part, None, part.meta.start_pos, part.meta.end_pos)
        yield _shape((key,), reader.shape([(None, part)], word_span(part)))
    elif str(part.children[0]) == "track":
        yield from _prompts(part, reader)


def _keyframe(part: Tree[Token]) -> tuple[Token, Tree[Token]]:
    call, frame = part.children
    assert isinstance(call, Tree)
    return token_of(frame), call


def _shape(keys: tuple[Key, ...], shape: Box | Polygon | None) -> WrittenShape:
    assert shape is not None
    return WrittenShape(shape.kind, shape, keys)


def _prompts(call: Tree[Token], reader: RegionReader) -> Iterator[WrittenShape]:
    track = Track(call)
    arguments = arguments_of(call)
    for argument, frame in zip(arguments, frames_of(arguments), strict=True):
        shown = call_of(argument)
        assert shown is not None
        kind = str(shown.children[0])
        shape = None if kind == "masks" else reader.shape_of_prompt(shown)
        assert shape is None or isinstance(shape, Point | Box | Polygon)
        start, end = argument_range(argument)
        key = Key(shown, frame, start, end)
        inside = len(argument.words) == 1
        track.prompts.append(WrittenShape(kind, shape, (key,), track, inside))
    yield from track.prompts


def argument_range(argument: Argument) -> tuple[int, int]:
    """The offsets of an argument, from its first word to the frame after it."""
    first, last = argument.words[0], argument.frame or argument.words[-1]
    start = first.start_pos if isinstance(first, Token) else first.meta.start_pos
    end = last.end_pos if isinstance(last, Token) else last.meta.end_pos
    return start or 0, end or 0


def frames_of(arguments: Sequence[Argument]) -> list[int | None]:
    """The frame of each prompt: its own, or that of the next one that has one."""
    frame, found = None, []
    for argument in reversed(arguments):
        frame = integer_of(argument.frame) if argument.frame else frame
        found.append(frame)
    return found[::-1]


def range_at(drawing: WrittenShape, frame: int) -> tuple[int, int]:
    """The offsets of what draws a shape at a frame."""
    key = drawing.at(frame)
    return (key.start, key.end) if key else (drawing.key.start, drawing.keys[-1].end)
