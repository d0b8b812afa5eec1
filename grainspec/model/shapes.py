"""Lengths, frames, and the numbers that shapes are made of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from grainspec.diagnostics import refuse
from grainspec.model.nodes import Node
from grainspec.model.numbers import decimal_text, percent_text
from grainspec.model.validation import made, python_text, short

MAX_FRAME = 10_000_000
FrameNumber = Annotated[int, Field(ge=0, le=MAX_FRAME)]
Unit = Literal["%", "px"]

ResizeRule = Literal["nearest", "area", "any"]
"""Which pixels of a scaled mask are set: those whose centre is in the mask, those with at least
half of their pixels in it, or those with any."""

TokenRule = Literal["nearest", "corner", "area", "any"]
"""Which latent tokens belong to a region (:mod:`grainspec.plan.tokens`)."""

Sides = tuple[float, float, float, float]
"""Left, top, right and bottom."""


class Length(Node):
    """A position or distance: percent of the source frame's width or height, or source pixels."""

    value: Annotated[float, Field(ge=-1e6, le=1e6)] = Field(description="The number.")
    unit: Unit = Field(description="`%` of the source frame, or `px` (source pixels).")

    @classmethod
    def parse(cls, text: str) -> Length:
        """Read ``'61%'`` or ``'40px'``.

        >>> Length.parse("40px")
        Length.parse('40px')
        """
        match = re.fullmatch(r"\s*([+-]?(?:\d+(?:\.\d+)?|\.\d+))\s*(%|px)\s*", str(text))
        if not match:
            number = str(text).strip()
            plain = re.fullmatch(r"[+-]?(\d+(\.\d+)?|\.\d+)", number)
            cure = f'Write `"{number}%"` or `"{number}px"`.' if plain else ""
            if plain and 0 < float(number) < 1:  # a share of the frame, as other tools write it
                cure = f'Write `"{percent_text(float(number))}"`.'
            expected = 'percent of the frame, such as `"61%"`, or source pixels, such as `"40px"`'
            raise refuse("G202", f"invalid length `{short(python_text(text))}`: {expected}", cure)
        return made(cls, value=float(match[1]), unit=match[2])

    def pixels(self, extent: int) -> float:
        """The length in source pixels, for a frame that is ``extent`` pixels wide (or high)."""
        return self.value * extent / 100 if self.unit == "%" else self.value

    def __str__(self) -> str:
        return decimal_text(self.value) + self.unit

    def __repr__(self) -> str:
        return f"Length.parse({str(self)!r})"


class FrameRange(Node):
    """Source frames ``first`` to ``last``, both included, counted from 0."""

    first: FrameNumber = Field(description="The first source frame, counted from 0.")
    last: FrameNumber = Field(description="The last source frame, included.")

    @model_validator(mode="after")
    def _in_order(self) -> FrameRange:
        if self.last < self.first:
            raise ValueError(f"the last frame ({self.last}) comes before the first ({self.first})")
        return self

    def __contains__(self, frame: object) -> bool:
        return isinstance(frame, int) and self.first <= frame <= self.last


class Keyframe(Node):
    """A box at a source frame; ``frame`` is None for a box that does not move."""

    frame: FrameNumber | None = Field(
        default=None, description="The source frame; null for a box that does not move."
    )
    x0: Length = Field(description="The left side.")
    y0: Length = Field(description="The top side.")
    x1: Length = Field(description="The right side.")
    y1: Length = Field(description="The bottom side.")

    def sides(self, width: int, height: int) -> Sides:
        """Left, top, right and bottom in pixels of a frame of this size."""
        x0, x1 = self.x0.pixels(width), self.x1.pixels(width)
        y0, y1 = self.y0.pixels(height), self.y1.pixels(height)
        return x0, y0, x1, y1

    def numbers(self, width: int, height: int) -> Sides:
        """The same as :meth:`sides`."""
        return self.sides(width, height)


class Point(Node):
    """A point of the source frame."""

    x: Length = Field(description="Distance from the left of the frame.")
    y: Length = Field(description="Distance from the top of the frame.")


class Outline(Node):
    """A polygon's points at a source frame; ``frame`` is None if it does not move."""

    frame: FrameNumber | None = Field(
        default=None, description="The source frame; null for a polygon that does not move."
    )
    points: Annotated[tuple[Point, ...], Field(min_length=3, max_length=1000)] = Field(
        description="The corners, in order."
    )

    def numbers(self, width: int, height: int) -> list[float]:
        """x and y of every point in turn, in pixels of a frame of this size."""
        found = []
        for point in self.points:
            found += [point.x.pixels(width), point.y.pixels(height)]
        return found

    def sides(self, width: int, height: int) -> Sides:
        """Left, top, right and bottom of the points, in pixels of a frame of this size."""
        return around(self.numbers(width, height))


def around(numbers: Sequence[float]) -> Sides:
    """Left, top, right and bottom of points, given as x and y in turn."""
    return min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])
