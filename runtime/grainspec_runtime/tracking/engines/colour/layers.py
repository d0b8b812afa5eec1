"""Two layers: does a pixel move with the background, or with an object?

The background's motion comes from what touches the frame's rim and is far from all clicks, so an
object cannot pass for background because it agrees with its own motion. An object's motion is one
shift per frame. Where both lead to a similar colour, as inside a flat area, nothing is known; an
edge moves with the layer in front, so the parts of an object have no edges that move with the
background, whatever their colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from grainspec_runtime.tracking.engines.colour.motion import grid, sampled
from grainspec_runtime.tracking.engines.colour.parts import pooled
from grainspec_runtime.tracking.engines.colour.picture import Floats, Ints, Picture

ALIKE, MOST = 8.0, 3.0
"""σ of colours in Lab, and the largest cost of a pixel in one frame, in nats."""
SLACK = 0.7
"""By how many pixels motion may be wrong."""
AROUND = 35.0, 60.0
"""σ of the area around a click, across and down, where the background's motion is not measured."""
SPREADS = (40.0, 3.0), (12.0, 12.0)
"""How far the background's motion is spread across and down, in pixels: it may differ by row."""
FAR = 60.0
"""From how far it is taken where nothing is nearer."""
COARSE = 4
"""It is interpolated on pixels of this size."""
VISIBLE = 5.0
"""An edge differs by more than this in Lab."""
DECIDED, STEEP = 0.25, 12.0
"""From which advantage in nats an edge moves with a layer, and how suddenly."""
EXPLAINED = 0.4
"""Up to which cost the background explains an edge."""
PIXELS = 1500
"""How many pixels an object's shift is measured on."""


class Layers:
    """Compares both layers on a frame, given frames nearby and how far each pixel moved there."""

    def __init__(
        self, pic: Picture, others: Sequence[tuple[Picture, Floats]], component_S: Ints
    ) -> None:
        self.pic, self.others, self.component = pic, others, component_S
        regions = pic.regions
        first, second = regions.pairs_E2.T
        step = np.linalg.norm(regions.lab_S3[first] - regions.lab_S3[second], axis=1)
        seen = (step > VISIBLE) & (component_S[first] != component_S[second])
        self.length_E = regions.border_E * seen

    def ground(self, ground_S: Floats, points: Sequence[Floats]) -> list[Floats]:
        """What it costs to explain each pixel by the background, per frame, ``[H, W]``.

        ground_S: how surely a region is background and reaches the frame's rim. points: the clicks.
        NaN where the background comes from outside the frame.
        """
        size = self.pic.size
        place, apart = grid(size), np.ones(size, np.float32)
        for point in np.concatenate([np.zeros((0, 2)), *points]):
            gap = (place - point.astype(np.float32)) / np.array(AROUND, np.float32)
            apart *= 1 - 0.98 * np.exp(-0.5 * np.square(gap).sum(-1))
        weight = (ground_S[self.pic.regions.index_HW] * apart + 1e-4).astype(np.float32)
        costs = []
        for other, moved in self.others:
            each = []
            for across, down in SPREADS:
                at = place + _steady(moved, weight, across, down)
                cost = _cost(self.pic.lab_HW3, other.lab_HW3, at)
                each.append(np.where(_inside(at, size), cost, np.nan))
            costs.append(np.fmin(*each))
        return costs

    def compared(self, mine_S: Floats, ground: Sequence[Floats]) -> Floats:
        """What speaks for an object and against the background, ``[S, 7]``.

        The object's advantage in a region, and in its part; the shares of its part's edges that
        move with the object, and with the background; the background's cost in the region, and in
        the part; the share of the edges that the background explains.
        """
        advantage, cost = self._advantage(mine_S, ground)
        regions, area = self.pic.regions, self.pic.regions.area_S
        mean = regions.mean(np.dstack([advantage, cost, np.abs(advantage)]))
        part = pooled(self.component, area, mean)
        return np.stack(
            [
                mean[:, 0],
                part[:, 0] / (part[:, 2] + 0.1),
                self._share(advantage),
                self._share(-advantage),
                np.minimum(mean[:, 1], 1),
                np.minimum(part[:, 1], 1),
                1 - self._share(cost - EXPLAINED),
            ],
            1,
        )

    def _advantage(self, mine_S: Floats, ground: Sequence[Floats]) -> tuple[Floats, Floats]:
        """By how much the object explains a pixel better, and what the background costs."""
        size = self.pic.size
        mine = mine_S[self.pic.regions.index_HW]
        better, costs, count = (np.zeros(size, np.float32) for _ in range(3))
        for (other, moved), of_ground in zip(self.others, ground, strict=True):
            at = grid(size) + self._shift(other, moved, mine)
            known = _inside(at, size) & ~np.isnan(of_ground)
            behind = np.nan_to_num(of_ground)
            cost = _cost(self.pic.lab_HW3, other.lab_HW3, at)
            better += known * np.clip(behind - cost, -MOST, MOST)
            costs += known * np.minimum(behind, MOST)
            count += known
        return better / np.maximum(count, 1), costs / np.maximum(count, 1)

    def _shift(self, other: Picture, moved_HW2: Floats, mine_HW: Floats) -> Floats:
        """Where an object is in another frame: its median motion, corrected by its colours."""
        chosen = mine_HW > 0.5
        if chosen.sum() < 4:
            return np.zeros(2, np.float32)
        usual = np.median(moved_HW2[chosen], axis=0).astype(np.float32)
        rim = cv2.dilate(chosen.astype(np.uint8), np.ones((5, 5), np.uint8))
        down, across = np.nonzero(rim)
        every = len(down) // PIXELS + 1
        here = np.stack([across, down], 1)[::every].astype(np.float32)
        colours = sampled(self.pic.lab_HW3, here[None])
        best = usual
        for step, reach in ((1.0, 4), (0.5, 1)):
            sides = [step * np.arange(-r, r + 1, dtype=np.float32) for r in (reach, min(reach, 2))]
            places = best + np.stack(np.meshgrid(*sides), -1).reshape(-1, 2)
            there = sampled(other.lab_HW3, here + places[:, None])
            gap = np.minimum(np.square(there - colours).sum(-1), 400).mean(1)
            gap += 0.5 * np.square(places - usual).sum(1)
            best = places[int(gap.argmin())]
        return np.asarray(best, np.float32)

    def _share(self, advantage_HW: Floats) -> Floats:
        """The share of the edges of each region's part where something has an advantage."""
        regions, component = self.pic.regions, self.component
        near = cv2.blur(np.asarray(advantage_HW, np.float32), (3, 3))
        decided = 1 / (1 + np.exp(-STEEP * (regions.along_borders(near) - DECIDED)))
        count = int(component.max()) + 1
        total, share = np.full(count, 4.0), np.zeros(count)
        for side in (0, 1):
            owner = component[regions.pairs_E2[:, side]]
            total += np.bincount(owner, self.length_E, count)
            share += np.bincount(owner, self.length_E * decided, count)
        return np.asarray((share / total)[component])


def _cost(here_HW3: Floats, there_HW3: Floats, at_HW2: Floats) -> Floats:
    """The squared difference to the most similar colour within ``SLACK``, in nats, limited."""
    least: Any = np.inf
    for across, down in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
        gap = sampled(there_HW3, at_HW2 + SLACK * np.array([across, down], np.float32)) - here_HW3
        least = np.minimum(least, np.einsum("hwc,hwc->hw", gap, gap))
    return np.asarray(np.minimum(least / (2 * ALIKE**2), 1.5 * MOST))


def _inside(at_HW2: Floats, size: tuple[int, int]) -> Any:
    """Whether places are in a frame of ``size``, rows and columns."""
    height, width = size
    return (at_HW2 >= -0.5).all(-1) & (at_HW2[..., 0] < width) & (at_HW2[..., 1] < height)


def _steady(moved_HW2: Floats, weight_HW: Floats, across: float, down: float) -> Floats:
    """A smooth motion that most of the weight agrees with: others lose their weight."""
    weight = weight_HW
    for _ in range(2):
        smooth = _smooth(moved_HW2, weight, across, down)
        weight = weight_HW / (1 + np.square(moved_HW2 - smooth).sum(-1))
    return _smooth(moved_HW2, weight, across, down)


def _smooth(moved_HW2: Floats, weight_HW: Floats, across: float, down: float) -> Floats:
    height, width = weight_HW.shape
    small = max(1, width // COARSE), max(1, height // COARSE)
    weighed: Any = np.dstack([moved_HW2 * weight_HW[..., None], weight_HW])
    weighed = cv2.resize(weighed, small, interpolation=cv2.INTER_AREA)
    near = cv2.GaussianBlur(weighed, (0, 0), sigmaX=across / COARSE, sigmaY=down / COARSE)
    far = cv2.GaussianBlur(weighed, (0, 0), FAR / COARSE)
    blended = near + 0.02 * far / (far[..., 2:] + 1e-6)
    return np.asarray(cv2.resize(blended[..., :2] / blended[..., 2:], (width, height)))
