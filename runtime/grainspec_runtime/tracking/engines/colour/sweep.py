"""One sweep through the clip, forwards or backwards: every object from its prompts on.

In each frame, a region's label is decided by where the flow says that it comes from, by how the
background and each object look there, and by its neighbours. Objects compete, so they exclude each
other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from grainspec_runtime.tracking.engines.colour.appearance import density, spread
from grainspec_runtime.tracking.engines.colour.fitted import TRUST
from grainspec_runtime.tracking.engines.colour.memory import (
    Known,
    Samples,
    learnt,
    located,
    samples,
    searched,
)
from grainspec_runtime.tracking.engines.colour.motion import Flow, grid, sampled
from grainspec_runtime.tracking.engines.colour.picture import Floats, Picture

COLOUR, AROUND = 6.0, 12.0
"""σ of colours in Lab: of regions, and of what is around them."""
OBJECT_PLACE, GROUND_PLACE = 7.0, 30.0
"""σ of places in pixels, in an object and in the background."""
FLOW_WEIGHT = 0.6
ROUND_TRIP = 2.0
"""σ of the error of the flow there and back, in pixels."""
FOUND = 0.6
"""How much of a lost object has to be seen, as a fraction of what was seen at its prompt."""
SEEN = 0.3
"""If less of an object is seen, its mask is trusted less."""
GONE = 0.04
"""An object is lost if its area is below this fraction of the area at its prompt."""
WELL = 0.7
"""The confidence from which an object's look is remembered."""
NEVER = -30.0


class Sweep:
    """The state of one sweep. Objects without a prompt so far are None in ``known``."""

    def __init__(self, flow: Flow, count: int) -> None:
        self.flow = flow
        self.known: list[Known | None] = [None] * count
        self.before: Picture | None = None
        self.chance_SK = np.zeros((0, count + 1), np.float32)
        self.ground: Samples | None = None

    def prompted(
        self, pic: Picture, chance_SK: Floats, objects: Sequence[int], confidence_K: Floats
    ) -> Floats:
        """Learn objects anew from the chances on the frame of their prompts."""
        confidence = confidence_K.copy()
        for k in objects:
            known = learnt(pic, chance_SK[:, k + 1])
            self.known[k] = known
            confidence[k] = 0.0 if known.lost else trust(known, 1.0, known.sure, 1.0)
        self._remember(pic, chance_SK)
        return confidence

    def step(self, pic: Picture) -> tuple[Floats, Floats]:
        """Go to the next frame: the chance of each label, ``[S, K + 1]``, and confidences."""
        count = len(self.known)
        if self.before is None or self.ground is None:
            chance = np.zeros((len(pic.regions), count + 1), np.float32)
            chance[:, 0] = 1
            return chance, np.zeros(count, np.float32)
        carried, ahead = self._carried(pic)
        score = np.full((len(pic.regions), count + 1), NEVER, np.float32)
        score[:, 0] = self._ground_score(pic) + FLOW_WEIGHT * np.log(carried[:, 0] + 0.02)
        visible = np.zeros(count, np.float32)
        for k, known in enumerate(self.known):
            if known is not None and self._found(pic, known, k, ahead, visible):
                score[:, k + 1] = self._object_score(pic, known)
                came = np.zeros(len(carried)) if known.lost else np.log(carried[:, k + 1] + 0.02)
                score[:, k + 1] += FLOW_WEIGHT * came
        chance = _agreed(pic, score)
        confidence = self._judged(pic, chance, visible)
        self._remember(pic, chance)
        return chance, confidence

    def _remember(self, pic: Picture, chance_SK: Floats) -> None:
        self.before, self.chance_SK = pic, chance_SK
        self.ground = samples(pic, chance_SK[:, 0], np.zeros(2, np.float32))

    def _carried(self, pic: Picture) -> tuple[Floats, Floats]:
        """The labels that the flow brings, ``[S, K + 1]``, and the flow of the last regions.

        Where the flow there and back does not return to its start, all labels have equal chances.
        """
        assert self.before is not None
        back, forth = self.flow(pic, self.before), self.flow(self.before, pic)
        at = grid(pic.size) + back
        error = np.linalg.norm(sampled(forth, at) + back, axis=-1)
        returns = np.exp(-0.5 * np.square(error / ROUND_TRIP))
        labels = sampled(self.chance_SK[self.before.regions.index_HW], at)
        if labels.ndim == 2:
            labels = labels[..., None]
        means = pic.regions.mean(np.dstack([labels * returns[..., None], returns]))
        carried = means[:, :-1] + (1 - means[:, -1:]) / len(self.chance_SK[0])
        return carried, self.before.regions.mean(forth)

    def _found(
        self, pic: Picture, known: Known, k: int, ahead_S2: Floats, visible_K: Floats
    ) -> bool:
        """Move an object to where it is in this frame; False if it is not seen."""
        assert self.before is not None
        known.age += 1
        if known.lost:
            centre, amount = searched(pic, known)
            visible_K[k] = amount / known.usual
            if visible_K[k] < FOUND:
                return False
        else:
            mine = self.chance_SK[:, k + 1]
            weight = mine * (mine > 0.5) * self.before.regions.area_S
            moved = np.array([_median(ahead_S2[:, axis], weight) for axis in (0, 1)], np.float32)
            centre, amount = located(pic, known, known.centre + moved)
            visible_K[k] = amount / known.usual
        known.centre = centre
        return True

    def _ground_score(self, pic: Picture) -> Floats:
        assert self.ground is not None
        regions, ground = pic.regions, self.ground
        here = _look(regions.lab_S3, regions.wide_S3, regions.xy_S2)
        there = _look(ground.lab_N3, ground.wide_N3, ground.at_N2)
        place = regions.xy_S2 / GROUND_PLACE
        alike = density(here, there, ground.weight_N)
        near = density(place, ground.at_N2 / GROUND_PLACE, ground.weight_N) + 1e-3
        return np.asarray(np.log(3 * alike / near + 0.02))

    def _object_score(self, pic: Picture, known: Known) -> Floats:
        regions = pic.regions
        place = (regions.xy_S2 - known.centre) / OBJECT_PLACE
        here = np.concatenate([regions.lab_S3 / COLOUR, place], 1)
        total = np.zeros(len(regions), np.float32)
        for look in (known.anchor, known.recent):
            at = look.at_N2 / OBJECT_PLACE
            there = np.concatenate([look.lab_N3 / COLOUR, at], 1)
            alike = density(here, there, look.weight_N)
            total += alike / (density(place, at, look.weight_N) + 60)
        return np.asarray(np.log(1.5 * total + 0.002))

    def _judged(self, pic: Picture, chance_SK: Floats, visible_K: Floats) -> Floats:
        """The confidence in each object; small remains of one are removed, and it is lost."""
        confidence = np.zeros(len(self.known), np.float32)
        for k, known in enumerate(self.known):
            if known is None:
                continue
            mine = chance_SK[:, k + 1]
            weight = pic.regions.area_S * mine * (mine > 0.5)
            area = float(weight.sum())
            known.lost = area <= GONE * known.area
            if known.lost:
                chance_SK[:, 0] += mine
                chance_SK[:, k + 1] = 0
                confidence[k] = 0.1
                continue
            sure = float((weight * mine).sum() / area)
            confidence[k] = trust(known, float(visible_K[k]), sure, area / known.area)
            if visible_K[k] > WELL and area > 0.6 * known.area:
                known.recent = samples(pic, mine, known.centre)
        return confidence


def trust(known: Known, visible: float, sure: float, area: float) -> float:
    """The confidence in a mask, from 0 to 1.

    visible, area: how well the object's look fits and how large its mask is, relative to the
    prompt's frame. sure: the mean chance of its pixels.
    """
    change = min(2.0, abs(math.log(max(area, 1e-3))))
    signs = (1.0, sure, change, known.sure, math.log1p(known.age))
    logit = sum(weight * sign for weight, sign in zip(TRUST, signs, strict=True))
    return min(1.0, visible / SEEN) / (1 + math.exp(-logit))


def _look(lab_S3: Floats, wide_S3: Floats, at_S2: Floats) -> Floats:
    return np.concatenate([lab_S3 / COLOUR, wide_S3 / AROUND, at_S2 / GROUND_PLACE], 1)


def _median(values_S: Floats, weight_S: Floats) -> float:
    """The weighted median; 0 without weights."""
    order = np.argsort(values_S, kind="stable")
    total = np.cumsum(weight_S[order], dtype=np.float64)
    if not len(total) or total[-1] <= 0:
        return 0.0
    return float(values_S[order[int(np.searchsorted(total, total[-1] / 2))]])


def _agreed(pic: Picture, score_SK: Floats) -> Floats:
    """Chances of labels, after neighbours of the same colour have agreed."""
    own = np.exp(score_SK - score_SK.max(1, keepdims=True))
    own /= own.sum(1, keepdims=True)
    regions = pic.regions
    first, second = regions.pairs_E2.T
    gap = np.linalg.norm(regions.lab_S3[first] - regions.lab_S3[second], axis=1)
    bond = regions.border_E / 6 * np.exp(-0.5 * np.square(gap / 6))
    chance = np.square(spread(regions, own, bond, 0.6, 20))
    return np.asarray(chance / chance.sum(1, keepdims=True))
