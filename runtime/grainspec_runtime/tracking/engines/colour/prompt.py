"""The masks that prompts mean: colours, motion and place, learnt from the prompts outwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from grainspec_runtime.tracking.engine import FramePrompt
from grainspec_runtime.tracking.engines.colour.appearance import spread
from grainspec_runtime.tracking.engines.colour.evidence import Evidence
from grainspec_runtime.tracking.engines.colour.fitted import FIRST, LATER, weighed
from grainspec_runtime.tracking.engines.colour.parts import Bools, connected, parts
from grainspec_runtime.tracking.engines.colour.picture import Floats, Picture

FAR, FAR_MOTION = 0.2, 2.0
"""What is farther from all points than this fraction of the diagonal, and moves by more pixels
otherwise, is background at first."""
ROUNDS = 4
IN_BOX = 1.5
"""How much more likely a region is part of an object if it is inside its box."""


@dataclass(frozen=True)
class Wanted:
    """A prompt in the picture's pixels.

    within_S: where the object can be at all. yes_S, no_S: where it surely is, and is not. chance_S:
    its mask, if the prompt is one.
    """

    points_N2: Floats
    within_S: Bools
    yes_S: Bools
    no_S: Bools
    chance_S: Floats | None


def wanted(prompt: FramePrompt, pic: Picture, scale: tuple[float, float]) -> Wanted:
    """Bring a prompt to the picture's size; points outside the frame are left out."""
    height, width = pic.size
    regions = pic.regions
    points = np.asarray(prompt.points_N2, np.float32).reshape(-1, 2) * np.array(scale, np.float32)
    positive = np.asarray(prompt.positive_N, bool).reshape(-1)
    inside = (points >= 0).all(1) & (points < (width, height)).all(1)
    points, positive = points[inside], positive[inside]
    yes, no = _around(pic, points[positive], 5.0), _around(pic, points[~positive], 3.0)
    within, chance, centres = np.ones(len(regions), bool), None, points[positive]
    if prompt.box is not None:
        (left, right), (top, bottom) = (
            [x * r for x in prompt.box[i::2]] for i, r in enumerate(scale)
        )
        x, y = regions.xy_S2.T + 0.5
        within = (x > left - 1) & (x < right + 1) & (y > top - 1) & (y < bottom + 1)
        if not yes.any():
            centres = np.array([[(left + right) / 2, (top + bottom) / 2]], np.float32)
            half = np.array([right - left, bottom - top], np.float32) / 2
            yes = within & (np.abs(regions.xy_S2 - centres) < 0.35 * half + 1).all(1)
    if prompt.mask_HW is not None:
        full = prompt.mask_HW.astype(np.float32)
        mask = np.asarray(cv2.resize(full, (width, height), interpolation=cv2.INTER_AREA))
        chance = regions.mean(mask[..., None])[:, 0]
        yes = yes | (chance > 0.5)
    return Wanted(centres, within, yes & within & ~no, no | ~within, chance)


def _around(pic: Picture, points_N2: Floats, reach: float) -> Bools:
    """The regions of some points, and those whose centre is near."""
    result = np.zeros(len(pic.regions), bool)
    for x, y in points_N2:
        result |= np.hypot(*(pic.regions.xy_S2 - (x - 0.5, y - 0.5)).T) < reach
        result[pic.regions.index_HW[int(y), int(x)]] = True
    return result


def segmented(
    pic: Picture,
    prompts: Sequence[Wanted],
    motion_HWD: Floats,
    others: Sequence[tuple[Picture, Floats]],
    taken_S: Floats,
) -> Floats:
    """The chance of each object that is prompted here, ``[S, K + 1]``; column 0 is the rest.

    motion_HWD: how the pixels move. others: nearby frames, with how far each pixel has moved there.
    taken_S: how sure it is that another object is there.

    Each round weighs what speaks for and against each region (:mod:`.evidence`), given the result
    of the round before, and lets similar neighbours agree.
    """
    component = parts(pic.regions, pic.noise)
    evidence = Evidence(
        pic,
        component,
        motion_HWD,
        others,
        [prompt.yes_S for prompt in prompts],
        [prompt.points_N2 for prompt in prompts],
    )
    chance = _first_guess(evidence, prompts, taken_S)
    if all(prompt.chance_S is not None or not prompt.yes_S.any() for prompt in prompts):
        return obeyed(chance, prompts, taken_S)
    bond = _bonds(evidence)
    for turn in range(ROUNDS):
        score = weighed(evidence.measured(chance, first=turn == 0), LATER if turn else FIRST)
        score = score + IN_BOX * np.array([not prompt.within_S.all() for prompt in prompts])
        score = np.pad(score, ((0, 0), (1, 0)))
        own = np.exp(score - score.max(1, keepdims=True))
        own = obeyed(own / own.sum(1, keepdims=True), prompts, taken_S)
        chance = spread(pic.regions, own, bond, 0.5) ** 2
        chance /= chance.sum(1, keepdims=True)
        best = chance.argmax(1)
        for k, prompt in enumerate(prompts, 1):
            stray = (best == k) & ~connected(pic.regions, best == k, prompt.yes_S)
            chance[stray, 0] += chance[stray, k]
            chance[stray, k] = 0
        chance = obeyed(chance, prompts, taken_S)
    return chance


def _bonds(evidence: Evidence) -> Floats:
    """How strongly neighbours agree: more if they have the same colour and the same motion."""
    regions = evidence.pic.regions
    first, second = regions.pairs_E2.T
    step = np.linalg.norm(regions.lab_S3[first] - regions.lab_S3[second], axis=1)
    shear = np.linalg.norm(evidence.motion[first] - evidence.motion[second], axis=1)
    bond = regions.border_E / 6 * (0.9 * np.exp(-0.5 * np.square(step / 15)) + 0.1)
    return np.asarray(bond * (0.9 * np.exp(-0.5 * np.square(shear / 3)) + 0.1))


def _first_guess(evidence: Evidence, prompts: Sequence[Wanted], taken_S: Floats) -> Floats:
    """Background is what is far from all points and moves otherwise, and the frame's rim."""
    regions = evidence.pic.regions
    chance = np.zeros((len(regions), len(prompts) + 1), np.float32)
    far = np.ones(len(regions))
    close = []
    for prompt in prompts:
        points = prompt.points_N2
        if not len(points) or not prompt.yes_S.any():
            close.append(prompt.yes_S)
            continue
        apart = np.linalg.norm(regions.xy_S2[:, None] - points, axis=-1).min(1)
        apart = apart / evidence.diagonal
        gap = evidence.motion - np.median(evidence.motion[prompt.yes_S], axis=0)
        alike = np.exp(-0.5 * np.square(np.linalg.norm(gap, axis=1) / FAR_MOTION))
        far *= (1 - np.exp(-0.5 * np.square(apart / FAR))) * (1 - alike)
        close.append(apart < 0.16)
    chance[:, 0] = far
    chance[evidence.rim, 0] = 1
    for k, (prompt, near) in enumerate(zip(prompts, close, strict=True), 1):
        chance[prompt.no_S, 0] = 1
        alike = np.isin(evidence.component, evidence.component[prompt.yes_S]) & ~prompt.no_S
        chance[alike, 0] = 0
        chance[prompt.yes_S | (alike & near), k] = 1
    chance[taken_S > 0.5, 0] = 1
    return chance


def obeyed(chance_SK: Floats, prompts: Sequence[Wanted], taken_S: Floats) -> Floats:
    """The same chances where nothing is said; elsewhere what the prompts say."""
    chance = np.array(chance_SK, np.float32)
    taken = taken_S > 0.5
    chance[taken] = 0
    chance[taken, 0] = 1
    for k, prompt in enumerate(prompts, 1):
        chance[prompt.no_S, 0] += chance[prompt.no_S, k]
        chance[prompt.no_S, k] = 0
        if prompt.chance_S is None:
            chance[prompt.yes_S] = 0
            chance[prompt.yes_S, k] = 1
        else:
            chance[:, k] = 0
            rest = np.maximum(chance.sum(1), 1e-6)
            chance *= ((1 - prompt.chance_S) / rest)[:, None]
            chance[:, k] = prompt.chance_S
        if not prompt.yes_S.any():
            chance[:, 0] += chance[:, k]
            chance[:, k] = 0
    total = chance.sum(1)
    chance[total <= 0, 0] = 1
    return np.asarray(chance / np.maximum(chance.sum(1), 1e-9)[:, None])
