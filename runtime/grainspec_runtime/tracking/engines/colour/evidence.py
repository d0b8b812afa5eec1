"""What speaks for and against a region being part of an object, at a prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from grainspec_runtime.tracking.engines.colour.appearance import density
from grainspec_runtime.tracking.engines.colour.edges import edges, moving_with_ground
from grainspec_runtime.tracking.engines.colour.motion import grid, sampled
from grainspec_runtime.tracking.engines.colour.picture import Floats, Ints, Picture
from grainspec_runtime.tracking.engines.colour.plate import explained

COLOUR, MOTION, WIDE_MOTION = 6.0, 1.5, 5.0
OBJECT_PLACE, GROUND_PLACE = 0.12, 0.25


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
        self.others, self.seeds, self.points = others, seeds_KS, points_K
        regions = pic.regions
        self.diagonal = float(np.hypot(*pic.size))
        self.motion_HWD = motion_HWD
        self.motion = regions.mean(motion_HWD)
        self.edges = edges(regions, component_S, motion_HWD)
        height, width = pic.size
        x, y = regions.xy_S2.T
        self.rim = (x < 6) | (x > width - 6) | (y < 6) | (y > height - 6)
        parts = np.bincount(component_S, regions.area_S)
        touching = np.bincount(component_S, self.rim) / np.sqrt(np.bincount(component_S))
        self.touching, self.part_size = touching[component_S], parts[component_S]

    def pooled(self, values_S: Floats) -> Floats:
        """The mean over each region's component."""
        area = self.pic.regions.area_S
        total = np.bincount(self.component, area * values_S)
        return (total / np.bincount(self.component, area))[self.component]

    def measured(self, chance_SK: Floats, first: bool) -> Floats:
        """``[S, K, D]``, in the order of :data:`.fitted.FIRST`."""
        pic, regions = self.pic, self.pic.regions
        area = regions.area_S
        colour, place = regions.lab_S3 / COLOUR, regions.xy_S2 / self.diagonal
        motion = self.motion / MOTION
        ground = chance_SK[:, 0] * area
        where = place / (0.5 if first else GROUND_PLACE)
        there = density(where, where, ground) + 1e-3 * ground.sum() + 1e-6
        alike = np.concatenate([colour, where], 1)
        ground_colour = np.log(density(alike, alike, ground) / there + 0.002)
        moving = np.concatenate([motion, where], 1)
        ground_motion = np.log(density(moving, moving, ground) / there + 0.02)
        pair = chance_SK[self.edges.pair_N2, 0]
        edge_ground = pair.min(1)
        share = moving_with_ground(
            self.edges, self.component, edge_ground, MOTION, GROUND_PLACE * self.diagonal
        )
        ground_share = float(np.average(share, weights=ground + 1e-9))
        if self.others:
            plate, known = explained(pic, self.others, chance_SK[:, 0][regions.index_HW])
            plate = np.log(plate * known + 0.5 * (1 - known) + 0.1)
        else:
            plate = np.full(len(regions), np.log(0.6))
        one, nothing = np.ones(len(regions)), np.zeros(len(regions))
        where = place / OBJECT_PLACE
        alike = np.concatenate([colour, where], 1)
        first_E, second_E = regions.pairs_E2.T
        outline = np.bincount(first_E, regions.border_E, len(regions)) + np.bincount(
            second_E, regions.border_E, len(regions)
        )
        result = []
        for k, seeds in enumerate(self.seeds):
            mine = chance_SK[:, k + 1] * area
            total = float(mine.sum()) + 1e-6
            own_colour = np.log(
                density(alike, alike, mine) / (density(where, where, mine) + 0.05 * total) + 0.005
            )
            own_motion = np.log(density(motion, motion, mine) / total + 0.02)
            wide = self.motion / WIDE_MOTION
            wide_motion = np.log(density(wide, wide, mine) / total + 0.02)
            usual = float(np.average(share, weights=mine + 1e-9))
            points = self.points[k]
            if len(points):
                apart = np.abs(regions.xy_S2[:, None] - points) / self.diagonal
                nearest = np.square(apart).sum(-1).argmin(1)
                apart = apart[np.arange(len(apart)), nearest]
            else:
                apart = np.zeros((len(regions), 2))
            carried = self._carried(mine)
            enclosed = (
                np.bincount(first_E, regions.border_E * chance_SK[second_E, k + 1], len(regions))
                + np.bincount(second_E, regions.border_E * chance_SK[first_E, k + 1], len(regions))
            ) / np.maximum(outline, 1)
            seeded = np.isin(self.component, self.component[seeds]).astype(float)
            rest = 1 - chance_SK[:, 0] - chance_SK[:, k + 1]
            result.append(
                np.stack(
                    [
                        one,
                        own_colour,
                        ground_colour,
                        self.pooled(own_colour),
                        self.pooled(ground_colour),
                        own_motion,
                        wide_motion,
                        ground_motion,
                        self.pooled(own_motion),
                        self.pooled(ground_motion),
                        share,
                        np.clip((ground_share - share) / max(ground_share - usual, 0.1), -1, 2),
                        np.hypot(*apart.T) * 4,
                        apart[:, 0] * 4,
                        np.minimum(self.touching, 3),
                        plate,
                        self.pooled(plate),
                        carried,
                        self.pooled(carried),
                        self.pooled(enclosed) if not first else nothing,
                        seeded,
                        np.log(self.part_size / area.mean()),
                        rest,
                    ],
                    1,
                )
            )
        return np.asarray(np.stack(result, 1), np.float32)

    def _carried(self, mine_S: Floats) -> Floats:
        """How well other frames agree if a region moves with the object."""
        if not self.others:
            return np.full(len(mine_S), np.log(0.6), np.float32)
        shares = []
        weight = mine_S[self.pic.regions.index_HW]
        for other, moved in self.others:
            # the median is robust against limbs
            picked = weight > 0
            if not picked.any():
                continue
            shift = np.median(moved[picked], axis=0)
            at = grid(self.pic.size) + shift
            gap = np.linalg.norm(sampled(other.lab_HW3, at) - self.pic.lab_HW3, axis=-1)
            shares.append(np.exp(-0.5 * np.square(gap / 8)))
        if not shares:
            return np.full(len(mine_S), np.log(0.6), np.float32)
        mean = self.pic.regions.mean(np.mean(shares, 0)[..., None])[:, 0]
        return np.log(mean + 0.1)
