"""The masks that prompts mean: colours, motion and place, learnt from the prompts outwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from grainspec_runtime.tracking.engine import FramePrompt
from grainspec_runtime.tracking.engines.colour.appearance import density, spread
from grainspec_runtime.tracking.engines.colour.picture import Floats, Ints, Picture, Regions

Bools = npt.NDArray[np.bool_]

COLOUR = 6.0
"""σ of colours in Lab."""
MOTION = 1.5
"""σ of motion in pixels, over several frames."""
NEAR = 0.28
"""How far an object is expected to reach from its points, as a fraction of the diagonal."""
OBJECT_PLACE, GROUND_PLACE = 0.12, (0.5, 0.25, 0.2, 0.2)
POOL = 0.75
ROUNDS = 4


@dataclass(frozen=True)
class Wanted:
    """A prompt in the picture's pixels. within_S: regions that the object cannot leave."""

    points_N2: Floats
    positive_N: Bools
    within_S: Bools
    chance_S: Floats | None


def wanted(prompt: FramePrompt, pic: Picture, scale: tuple[float, float]) -> Wanted:
    """Bring a prompt to the picture's size; points outside the frame are left out."""
    height, width = pic.size
    points = np.asarray(prompt.points_N2, np.float32).reshape(-1, 2) * np.float32(scale)
    inside = (points >= 0).all(1) & (points < (width, height)).all(1)
    regions = pic.regions
    within = np.ones(len(regions), bool)
    chance = None
    if prompt.box is not None:
        left, top, right, bottom = np.float32(prompt.box) * np.float32(scale * 2)
        x, y = regions.xy_S2.T + 0.5
        within = (x > left - 1) & (x < right + 1) & (y > top - 1) & (y < bottom + 1)
    if prompt.mask_HW is not None:
        import cv2

        mask = cv2.resize(
            prompt.mask_HW.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA
        )
        chance = regions.mean(mask[..., None])[:, 0]
    positive = np.asarray(prompt.positive_N, bool).reshape(-1)
    return Wanted(points[inside], positive[inside], within, chance)


def components(regions: Regions, near: float = 3.0, far: float = 6.0) -> Ints:
    """Join neighbouring regions of almost the same colour: the number of its component, ``[S]``."""
    first, second = regions.pairs_E2.T
    gap = np.linalg.norm(regions.lab_S3[first] - regions.lab_S3[second], axis=1)
    parent = list(range(len(regions)))
    mean, area = regions.lab_S3.astype(np.float64), regions.area_S.astype(np.float64)

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for edge in np.argsort(gap, kind="stable"):
        if gap[edge] > near:
            break
        i, j = root(int(first[edge])), root(int(second[edge]))
        if i != j and float(np.square(mean[i] - mean[j]).sum()) <= far**2:
            mean[i] = (mean[i] * area[i] + mean[j] * area[j]) / (area[i] + area[j])
            area[i] += area[j]
            parent[j] = i
    roots = [root(i) for i in range(len(regions))]
    return np.unique(roots, return_inverse=True)[1].astype(np.int32)


def connected(regions: Regions, where_S: Bools, seeds_S: Bools) -> Bools:
    """Those of ``where_S`` that are connected to a seed."""
    first, second = regions.pairs_E2[where_S[regions.pairs_E2].all(1)].T
    reached = where_S & seeds_S
    while True:
        before = int(reached.sum())
        both = reached[first] | reached[second]
        reached[first[both]] = True
        reached[second[both]] = True
        if int(reached.sum()) == before:
            return reached


def segmented(pic: Picture, motion_SD: Floats, prompts: list[Wanted], taken_S: Floats) -> Floats:
    """The chance of each object that is prompted here, ``[S, K + 1]``; the rest is 0.

    motion_SD: how the regions move. taken_S: how sure it is that another object is there.
    """
    regions = pic.regions
    count, size = len(regions), len(prompts)
    seeds = [_seeds(pic, prompt) for prompt in prompts]
    chance = _first_guess(pic, prompts, seeds, taken_S)
    if not any(s.any() for s, _ in seeds):
        return chance
    comp = components(regions)
    diagonal = float(np.hypot(*pic.size))
    colour, place = regions.lab_S3 / COLOUR, regions.xy_S2 / diagonal
    motion = motion_SD / MOTION
    near = [_nearness(pic, prompt) for prompt in prompts]
    first, second = regions.pairs_E2.T
    step = np.linalg.norm(regions.lab_S3[first] - regions.lab_S3[second], axis=1)
    shear = np.linalg.norm(motion[first] - motion[second], axis=1)
    bond = regions.border_E / 6 * (0.9 * np.exp(-0.5 * (step / 15) ** 2) + 0.1)
    bond = bond * (0.9 * np.exp(-0.5 * (shear / 2) ** 2) + 0.1)
    seeded = np.isin(comp, comp[np.any([s for s, _ in seeds], 0)])
    rim = _rim(pic)
    touching = (np.bincount(comp, rim) / np.sqrt(np.bincount(comp)))[comp]
    for turn in range(ROUNDS):
        score = np.full((count, size + 1), -30.0)
        where = place / GROUND_PLACE[turn]
        weight = chance[:, 0] * regions.area_S
        there = density(where, where, weight) + 1e-6
        alike = np.concatenate([colour, where], 1)
        moving = np.concatenate([motion, where], 1)
        score[:, 0] = np.log(0.97 * density(alike, alike, weight) / there + 0.0015)
        score[:, 0] += np.log(density(moving, moving, weight) / there + 0.05)
        where = place / OBJECT_PLACE
        alike = np.concatenate([colour, where], 1)
        for k, prompt in enumerate(prompts):
            weight = chance[:, k + 1] * regions.area_S
            total = float(weight.sum())
            if total <= 0:
                continue
            colours = density(alike, alike, weight) / (density(where, where, weight) + 0.05 * total)
            score[:, k + 1] = np.log(0.85 * colours + 0.0075 * near[k] + 1e-9)
            score[:, k + 1] += np.log(density(motion, motion, weight) / total + 0.05)
            score[:, k + 1] += 0.5 * np.log(near[k] + 1e-3)
        pooled = np.stack(
            [
                np.bincount(comp, regions.area_S * column) / np.bincount(comp, regions.area_S)
                for column in score.T
            ],
            1,
        )[comp]
        score = (1 - POOL) * score + POOL * pooled
        own = np.exp(score - score.max(1, keepdims=True))
        own /= own.sum(1, keepdims=True)
        ground = np.clip(touching * 0.5, 0, 0.9) * ~seeded * (0.5 if turn else 1)
        own *= 1 - ground[:, None]
        own[:, 0] += ground
        own = _obeyed(own, prompts, seeds, taken_S)
        chance = spread(regions, own.astype(np.float32), bond, 0.5) ** 2
        chance /= chance.sum(1, keepdims=True)
        best = chance.argmax(1)
        for k, (yes, _) in enumerate(seeds):
            stray = (best == k + 1) & ~connected(regions, best == k + 1, yes)
            chance[stray, 0] += chance[stray, k + 1]
            chance[stray, k + 1] = 0
    chance = _obeyed(chance, prompts, seeds, taken_S)
    return np.asarray(chance, np.float32)


def _seeds(pic: Picture, prompt: Wanted) -> tuple[Bools, Bools]:
    """Regions that surely belong to the object, and regions that surely do not."""
    regions = pic.regions
    sides = []
    for wanted_sign in (True, False):
        seeds = np.zeros(len(regions), bool)
        for x, y in prompt.points_N2[prompt.positive_N == wanted_sign]:
            seeds |= np.hypot(*(regions.xy_S2 - (x - 0.5, y - 0.5)).T) < (5 if wanted_sign else 3)
            seeds[regions.index_HW[int(y), int(x)]] = True
        sides.append(seeds)
    yes, no = sides
    if prompt.chance_S is not None:
        yes = yes | (prompt.chance_S > 0.5)
    elif not yes.any() and not prompt.within_S.all() and prompt.within_S.any():
        middle = regions.xy_S2[prompt.within_S]
        centre, half = middle.mean(0), np.ptp(middle, axis=0) / 2 + 1
        yes = prompt.within_S & (np.abs(regions.xy_S2 - centre) < 0.35 * half).all(1)
    return yes & prompt.within_S & ~no, no | ~prompt.within_S


def _rim(pic: Picture) -> Bools:
    height, width = pic.size
    x, y = pic.regions.xy_S2.T
    return np.asarray((x < 6) | (x > width - 6) | (y < 6) | (y > height - 6))


def _nearness(pic: Picture, prompt: Wanted) -> Floats:
    """How likely an object reaches here, from its points or its box alone."""
    if not prompt.within_S.all():
        return prompt.within_S.astype(np.float32)
    points = prompt.points_N2[prompt.positive_N]
    if not len(points):
        return np.ones(len(pic.regions), np.float32)
    apart = np.linalg.norm(pic.regions.xy_S2[:, None] - points, axis=-1).min(1)
    return np.asarray(np.exp(-0.5 * np.square(apart / (NEAR * np.hypot(*pic.size)))))


def _first_guess(
    pic: Picture, prompts: list[Wanted], seeds: list[tuple[Bools, Bools]], taken_S: Floats
) -> Floats:
    """The rim of the frame, or what is outside the boxes, is background; seeds are objects."""
    count = len(pic.regions)
    chance = np.zeros((count, len(prompts) + 1), np.float32)
    chance[_rim(pic), 0] = 1
    comp = components(pic.regions)
    for k, (prompt, (yes, no)) in enumerate(zip(prompts, seeds, strict=True)):
        if not prompt.within_S.all():
            chance[~prompt.within_S, 0] = 1
        chance[no, 0] = 1
        alike = np.isin(comp, comp[yes]) & ~no
        if prompt.points_N2[prompt.positive_N].size:
            alike &= _nearness(pic, prompt) > 0.85
        chance[np.isin(comp, comp[yes]) & ~no, 0] = 0
        chance[yes | alike, k + 1] = 1
        chance[yes, 0] = 0
    chance[taken_S > 0.5, 0] = 1
    return chance


def _obeyed(
    chance_SK: Floats, prompts: list[Wanted], seeds: list[tuple[Bools, Bools]], taken_S: Floats
) -> Floats:
    """The same chances where nothing is said; elsewhere what the prompts say."""
    chance = np.array(chance_SK, np.float32)
    taken = taken_S > 0.5
    chance[taken] = 0
    chance[taken, 0] = 1
    for k, (prompt, (yes, no)) in enumerate(zip(prompts, seeds, strict=True)):
        chance[no, 0] += chance[no, k + 1]
        chance[no, k + 1] = 0
        if prompt.chance_S is not None:
            chance[:, k + 1] = prompt.chance_S
            chance[:, 0] = np.minimum(chance[:, 0] + 1e-6, 1 - prompt.chance_S)
            chance /= np.maximum(chance.sum(1, keepdims=True), 1e-9)
        else:
            chance[yes] = 0
            chance[yes, k + 1] = 1
    return chance
