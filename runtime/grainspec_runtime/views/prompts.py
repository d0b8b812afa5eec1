"""The prompts of tracked regions, drawn on their frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from grainspec.model.expressions import Box, Point, Polygon, Prompt, Track
from grainspec.model.spec import EditSpec
from grainspec.regions.bind import Bound
from grainspec.regions.tracked.sources import TrackedClip
from grainspec_runtime.media.decode import Frames

_EDGE, _FILL = "black", "white"
"""All marks are white with a black edge: they are seen on every region's colour."""


class PromptMarks:
    """The prompts of a spec's ``track(…)`` expressions; none without such regions.

    A point is a dot with a ring, a point outside the object a ring with a cross, and a box, an
    ellipse or a polygon its outline. Masks are not drawn.
    """

    def __init__(self, spec: EditSpec, base: Path, bound: Bound) -> None:
        clip = TrackedClip(spec, base, bound.facts)
        self._clip_size, self._crop = clip.size, bound.crop
        self._prompts: dict[int, list[Prompt]] = {}
        for source in clip.sources:
            for prompt in source.prompts if isinstance(source, Track) else ():
                self._prompts.setdefault(clip.frame_of(prompt), []).append(prompt)

    @property
    def frames(self) -> set[int]:
        """The source frames with prompts."""
        return {*self._prompts}

    def on(self, frames: Frames, numbers: Sequence[int]) -> Frames:
        """Draw the prompts on frames, uint8 ``[F, H, W, 3]``, of these source frames.

        The frames are the edited part of the clip, with its padding, at any size.
        """
        drawn = frames.copy()
        for picture, number in zip(drawn, numbers, strict=True):
            if number in self._prompts:
                image = Image.fromarray(picture)
                for prompt in self._prompts[number]:
                    self._draw(image, prompt, number)
                picture[...] = np.asarray(image)
        return drawn

    def _draw(self, image: Image.Image, prompt: Prompt, number: int) -> None:
        shape, draw = prompt.shape, ImageDraw.Draw(image)
        wide, high = self._clip_size
        line = max(1, min(image.size) // 200)
        if isinstance(shape, Point):
            [(x, y)] = self._placed(image, [shape.x.pixels(wide), shape.y.pixels(high)])
            _draw_point(draw, x, y, max(3, min(image.size) // 40), outside=prompt.outside)
        elif isinstance(shape, Box | Polygon):
            corners = [*self._placed(image, shape.numbers(number, wide, high))]
            for colour, width in ((_EDGE, 3 * line), (_FILL, line)):
                if isinstance(shape, Polygon):
                    draw.line([*corners, corners[0]], colour, width)
                elif shape.kind == "ellipse":
                    draw.ellipse(corners, outline=colour, width=width)
                else:
                    draw.rectangle(corners, outline=colour, width=width)

    def _placed(self, image: Image.Image, xy: Sequence[float]) -> Iterator[tuple[float, float]]:
        """Points of the source frame, given as x and y in turn, in pixels of a drawn frame."""
        crop = self._crop
        (across, down), (left, above) = crop.scale, crop.padding[:2]
        wide, high = image.width / crop.size[0], image.height / crop.size[1]
        for x, y in zip(xy[::2], xy[1::2], strict=True):
            yield (
                ((x - crop.box[0]) * across + left) * wide,
                ((y - crop.box[1]) * down + above) * high,
            )


def _draw_point(
    draw: ImageDraw.ImageDraw, x: float, y: float, radius: int, *, outside: bool
) -> None:
    def disc(radius: int, colour: str) -> None:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)

    ring = max(1, radius // 3)
    disc(radius + ring, _EDGE)
    disc(radius, _FILL)
    if outside:
        for sign in (1, -1):
            draw.line((x - radius, y - sign * radius, x + radius, y + sign * radius), _EDGE, ring)
    else:
        disc(max(1, radius // 2), _EDGE)
