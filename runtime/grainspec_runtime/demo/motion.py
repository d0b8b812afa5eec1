"""The exact motion of the demo world: optical flow without estimating anything.

Two frames of a scene are drawn by the same strokes. Each stroke's corner points on both frames give
the affine map that carried it, and every pixel moves as the stroke that is seen there.
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
"""A flow, in pixels, out of every frame: for what is hidden or gone."""


@dataclass(frozen=True)
class _Stroke:
    """label: what it belongs to, 0 for the place. points: ``[n, 2]``, x and y in the frame."""

    label: int
    fill: RGB
    points: Floats

    @property
    def shape(self) -> tuple[object, ...]:
        """What it keeps wherever it is."""
        return (self.fill, *np.round(self.points - self.points[0], 6).ravel().tolist())


class _Traced(Canvas):
    """A canvas that also says which stroke is seen where."""

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
    """The flow between consecutive frames of a clip of the demo world, in pixels.

    Figures must be the same on all frames. Where a pixel's stroke is hidden on the other frame or
    out of it, the flow leads out of the frame, so that it counts as unseen.

    >>> from grainspec_runtime.demo.world import Figure, Scene, advance
    >>> scene = Scene((Figure("man", "red"),), "green trees", "road")
    >>> flow = exact_flow([scene, advance(scene, 1)])
    >>> [round(float(step), 2) + 0.0 for step in flow.forward_PHW2[0, 20, 30]]  # 2 % of 96
    [-1.92, 0.0]
    """
    traced = [_Traced(scene, size) for scene in scenes]
    pairs = list(itertools.pairwise(traced))
    forward = [_flow(one, other, size) for one, other in pairs]
    backward = [_flow(other, one, size) for one, other in pairs]
    empty = np.zeros((0, size, size, 2), np.float32)
    return ClipFlow(
        np.stack(forward) if forward else empty, np.stack(backward) if backward else empty
    )


def _flow(one: _Traced, other: _Traced, size: int) -> npt.NDArray[np.float32]:
    middle = slice(SUPERSAMPLING // 2, None, SUPERSAMPLING)
    seen = one.numbers[middle, middle]
    centres = (np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1) + 0.5) / size
    found = np.full((size, size, 2), _NOWHERE, np.float32)
    partners = _partners(one.strokes, other.strokes)
    for number in np.unique(seen):
        partner = partners[number]
        if partner is None:
            continue
        where = seen == number
        before, after = one.strokes[number].points, other.strokes[partner].points
        ones = np.ones((len(before), 1))
        affine, *_ = np.linalg.lstsq(np.hstack([before, ones]), after, rcond=None)
        here = centres[where]
        there = np.hstack([here, np.ones((len(here), 1))]) @ affine
        column, row = np.floor(there * other.size).astype(int).T
        inside = (there >= 0).all(1) & (there < 1).all(1)
        visible = np.zeros(len(here), bool)
        visible[inside] = other.numbers[row[inside], column[inside]] == partner
        found[where] = np.where(visible[:, None], (there - here) * size, _NOWHERE)
    return found


def _partners(ones: Sequence[_Stroke], others: Sequence[_Stroke]) -> list[int | None]:
    """For each stroke the one on the other frame that is the same.

    A figure is drawn by the same strokes in the same order. Things of the place come in and go out
    of the frame: the same is what has the same shape and is nearest.
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
    for stroke in ones:
        if stroke.label:
            order = drawn.get(stroke.label, 0)
            drawn[stroke.label] = order + 1
            partners.append(by_label[stroke.label][order])
        else:
            alike = by_shape.get(stroke.shape, [])
            gaps = [float(np.abs(others[i].points - stroke.points).max()) for i in alike]
            partners.append(alike[int(np.argmin(gaps))] if gaps else None)
    return partners
