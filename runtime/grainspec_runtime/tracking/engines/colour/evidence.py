"""What speaks for and against a region being part of an object, at a prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from grainspec_runtime.tracking.engines.colour.appearance import density
from grainspec_runtime.tracking.engines.colour.layers import Layers
from grainspec_runtime.tracking.engines.colour.parts import pooled
from grainspec_runtime.tracking.engines.colour.picture import Floats, Ints, Picture

COLOUR, MOTION = 6.0, 1.5
"""σ of colours in Lab, and of motion in pixels."""
FINEST, NOISE = 1.5, 4.0
"""σ of the finer comparison of colours: without noise, and how much it grows with it."""
OBJECT_PLACE, GROUND_PLACE = 0.12, 0.25
"""σ of places, as fractions of the diagonal."""


class Evidence:
    """Measures regions against what is known so far."""

    def __init__(
        self,
        pic: Picture,
        component_S: Ints,
        motion_HWD: Floats,
        others: Sequence[tuple[Picture, Floats]],
        seeds_KS: Sequence[npt.NDArray[np.bool_]],
        points_K: Sequence[Floats],
    ) -> None:
        self.pic, self.component = pic, component_S
        self.seeds, self.points = seeds_KS, points_K
        regions = pic.regions
        self.diagonal = float(np.hypot(*pic.size))
        self.motion = regions.mean(motion_HWD)
        height, width = pic.size
        x, y = regions.xy_S2.T
        self.rim = (x < 6) | (x > width - 6) | (y < 6) | (y > height - 6)
        touching = np.bincount(component_S, self.rim) / np.sqrt(np.bincount(component_S))
        self.touching = touching[component_S]
        self.layers = Layers(pic, others, component_S)
        self.sigmas = COLOUR, min(COLOUR, FINEST + NOISE * pic.noise)

    def measured(self, chance_SK: Floats, first: bool) -> Floats:
        """``[S, K, D]``, in the order of :data:`.fitted.NAMES`."""
        regions, count = self.pic.regions, len(self.pic.regions)
        ground = chance_SK[:, 0] * regions.area_S
        ground_colours = [
            self._colours(ground, sigma, 0.5 if first and sigma == COLOUR else GROUND_PLACE)
            for sigma in self.sigmas
        ]
        reaching = 0.1 + 0.9 * np.minimum(self.touching, 1)
        behind = self.layers.ground(chance_SK[:, 0] * reaching, self.points)
        one = np.ones(count)
        result = []
        for k, seeds in enumerate(self.seeds):
            mine = chance_SK[:, k + 1] * regions.area_S
            own_colours = [self._own_colours(mine, sigma) for sigma in self.sigmas]
            apart = self._apart(self.points[k])
            columns = [
                one,
                *self._both(own_colours[0], ground_colours[0]),
                self._own_motion(mine),
                np.hypot(*apart.T) * 4,
                apart[:, 0] * 4,
                np.minimum(self.touching, 3),
                0 * one if first else self._pooled(self._enclosed(chance_SK[:, k + 1])),
                np.isin(self.component, self.component[seeds]),
                1 - chance_SK[:, 0] - chance_SK[:, k + 1],
                *self.layers.compared(chance_SK[:, k + 1], behind).T,
                *self._both(own_colours[1], ground_colours[1]),
            ]
            result.append(np.stack(columns, 1))
        return np.asarray(np.stack(result, 1), np.float32)

    def _pooled(self, values_S: Floats) -> Floats:
        return pooled(self.component, self.pic.regions.area_S, values_S[:, None])[:, 0]

    def _both(self, own_S: Floats, ground_S: Floats) -> tuple[Floats, ...]:
        return own_S, ground_S, self._pooled(own_S), self._pooled(ground_S)

    def _colours(self, ground_S: Floats, sigma: float, reach: float) -> Floats:
        """How well the colours of the background nearby fit, in nats."""
        place = self.pic.regions.xy_S2 / self.diagonal / reach
        near = density(place, place, ground_S) + 1e-3 * ground_S.sum() + 1e-6
        look = np.concatenate([self.pic.regions.lab_S3 / sigma, place], 1)
        return np.asarray(np.log(density(look, look, ground_S) / near + 0.002))

    def _own_colours(self, mine_S: Floats, sigma: float) -> Floats:
        """How well the colours of an object nearby fit, in nats."""
        place = self.pic.regions.xy_S2 / self.diagonal / OBJECT_PLACE
        near = density(place, place, mine_S) + 0.05 * (mine_S.sum() + 1e-6)
        look = np.concatenate([self.pic.regions.lab_S3 / sigma, place], 1)
        return np.asarray(np.log(density(look, look, mine_S) / near + 0.005))

    def _own_motion(self, mine_S: Floats) -> Floats:
        motion = self.motion / MOTION
        return np.asarray(np.log(density(motion, motion, mine_S) / (mine_S.sum() + 1e-6) + 0.02))

    def _apart(self, points_N2: Floats) -> Floats:
        """How far the nearest click is, across and down, as fractions of the diagonal."""
        if not len(points_N2):
            return np.zeros((len(self.pic.regions), 2))
        apart = np.abs(self.pic.regions.xy_S2[:, None] - points_N2) / self.diagonal
        nearest = np.square(apart).sum(-1).argmin(1)
        return np.asarray(apart[np.arange(len(apart)), nearest])

    def _enclosed(self, mine_S: Floats) -> Floats:
        """The share of each region's outline beyond which the object is."""
        regions, count = self.pic.regions, len(self.pic.regions)
        length, total = np.zeros(count), np.zeros(count)
        for here, there in (regions.pairs_E2.T, regions.pairs_E2.T[::-1]):
            length += np.bincount(here, regions.border_E * mine_S[there], count)
            total += np.bincount(here, regions.border_E, count)
        return np.asarray(length / np.maximum(total, 1))
