"""The exact optical flow of the demo world, computed from its drawing strokes.

All frames of a scene are drawn with the same strokes. The corner points of a stroke in two frames
determine an affine map, and every pixel moves with the stroke that is visible there.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from grainspec_runtime.demo.drawing import SUPERSAMPLING, Canvas
from grainspec_runtime.demo.render import draw_scene
from grainspec_runtime.demo.world import RGB, Scene
from grainspec_runtime.flow.clip_flow import ClipFlow

Floats = npt.NDArray[np.float64]

_NOWHERE = 1e4
"""A flow, in pixels, that leaves any frame; used for pixels that become hidden."""


@dataclass(frozen=True)
class _Stroke:
    """A stroke. label: the part that it draws, 0 for the place. points: ``[n, 2]``, x and y."""

    label: int
    fill: RGB
    points: Floats

    @property
    def shape(self) -> tuple[object, ...]:
        """The properties of the stroke that do not depend on its position."""
        return (self.fill, *np.round(self.points - self.points[0], 6).ravel().tolist())


class _Traced(Canvas):
    """A canvas that also records which stroke is visible at each pixel."""

    def __init__(self, scene: Scene, size: int) -> None:
        super().__init__(size)
        self.strokes: list[_Stroke] = []
        self._numbers = Image.new("I", (self.size, self.size), -1)
        self._pen = ImageDraw.Draw(self._numbers)
        draw_scene(self, scene)
        self.numbers = np.asarray(self._numbers)

    def polygon(self, points: list[tuple[float, float]], fill: RGB) -> None:
        super().polygon(points, fill)
        self._pen.polygon([(x * self.size, y * self.size) for x, y in points], len(self.strokes))
        self.strokes.append(_Stroke(self.label, fill, np.array(points)))

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: RGB) -> None:
        super().ellipse(x, y, rx, ry, fill)
        box = [c * self.size for c in (x - rx, y - ry, x + rx, y + ry)]
        self._pen.ellipse(box, len(self.strokes))
        corners = np.array([(x - rx, y), (x, y - ry), (x + rx, y), (x, y + ry)])
        self.strokes.append(_Stroke(self.label, fill, corners))


def exact_flow(scenes: Sequence[Scene], size: int = 96) -> ClipFlow:
    """The exact flow between consecutive frames of a clip of the demo world, in pixels.

    Figures may enter, leave and pass one another. They are matched by their numbers in
    ``scene.figures``, so their looks must be the same in all frames; a figure that one of two
    frames lacks is occluded there. If a pixel's stroke is hidden or outside in the other frame, its
    flow leads out of the frame, so that the pixel counts as occluded.

    >>> from grainspec_runtime.demo.world import Figure, Scene, advance
    >>> scene = Scene((Figure("man", "red"),), "green trees", "road")
    >>> flow = exact_flow([scene, advance(scene, 1)])
    >>> [round(float(step), 2) + 0.0 for step in flow.forward_PHW2[0, 20, 30]]  # 2 % of 96
    [-1.92, 0.0]
    """
    traced = [_Traced(scene, size) for scene in scenes]
    pairs = list(itertools.pairwise(traced))
    forward = [_flow(first, second, size) for first, second in pairs]
    backward = [_flow(second, first, size) for first, second in pairs]
    empty = np.zeros((0, size, size, 2), np.float32)
    return ClipFlow(
        np.stack(forward) if forward else empty, np.stack(backward) if backward else empty
    )


def _flow(first: _Traced, second: _Traced, size: int) -> npt.NDArray[np.float32]:
    middle = slice(SUPERSAMPLING // 2, None, SUPERSAMPLING)
    stroke_HW = first.numbers[middle, middle]
    centres = (np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1) + 0.5) / size
    flow_HW2 = np.full((size, size, 2), _NOWHERE, np.float32)
    partners = _partners(first.strokes, second.strokes)
    for number in np.unique(stroke_HW):
        partner = partners[number]
        if partner is None:
            continue
        where = stroke_HW == number
        before, after = first.strokes[number].points, second.strokes[partner].points
        ones = np.ones((len(before), 1))
        affine, *_ = np.linalg.lstsq(np.hstack([before, ones]), after, rcond=None)
        here = centres[where]
        there = np.hstack([here, np.ones((len(here), 1))]) @ affine
        column, row = np.floor(there * second.size).astype(int).T
        inside = (there >= 0).all(1) & (there < 1).all(1)
        visible = np.zeros(len(here), bool)
        visible[inside] = second.numbers[row[inside], column[inside]] == partner
        flow_HW2[where] = np.where(visible[:, None], (there - here) * size, _NOWHERE)
    return flow_HW2


def _partners(strokes: Sequence[_Stroke], others: Sequence[_Stroke]) -> list[int | None]:
    """Match each stroke to the index of the same stroke in the other frame, or None.

    The strokes of a figure have the same order in every frame; the other frame may lack the figure.
    Strokes of the place enter and leave the frame; they are matched to the nearest stroke of the
    same shape.
    """
    by_label: dict[int, list[int]] = {}
    by_shape: dict[tuple[object, ...], list[int]] = {}
    for index, stroke in enumerate(others):
        if stroke.label:
            by_label.setdefault(stroke.label, []).append(index)
        else:
            by_shape.setdefault(stroke.shape, []).append(index)
    drawn: dict[int, int] = {}
    partners: list[int | None] = []
    for stroke in strokes:
        if stroke.label:
            order = drawn.get(stroke.label, 0)
            drawn[stroke.label] = order + 1
            same = by_label.get(stroke.label, [])
            partners.append(same[order] if order < len(same) else None)
        else:
            alike = by_shape.get(stroke.shape, [])
            gaps = [float(np.abs(others[i].points - stroke.points).max()) for i in alike]
            partners.append(alike[int(np.argmin(gaps))] if gaps else None)
    return partners
