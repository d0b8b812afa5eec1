"""What is remembered of an object, and where in a frame it is found again.

Dimensions: S regions, N samples, M places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grainspec_runtime.tracking.engines.colour.picture import Floats, Picture

ALIKE = 10.0
"""σ of colours in Lab, when an object is looked for."""
REACH = 14
"""How far from where the flow leads an object is looked for, in pixels."""
FEW = 80
"""How many samples an object is looked for with in the whole frame."""


@dataclass(frozen=True)
class Samples:
    """Regions of one frame that belong to an object or to the background.

    at_N2: their centres, relative to the object's. wide_N3: the colour of what is around them.
    """

    lab_N3: Floats
    wide_N3: Floats
    at_N2: Floats
    weight_N: Floats


@dataclass
class Known:
    """An object on the way.

    anchor: how it looked at its last prompt. recent: how it looked when it was last seen well.
    area, usual: pixels, and how well the anchor fitted, at the prompt. sure: how sure its mask was
    there. age: frames since then. lost: whether it was not seen in the last frame.
    """

    anchor: Samples
    recent: Samples
    centre: Floats
    area: float
    usual: float
    sure: float
    age: int = 0
    lost: bool = False


def samples(pic: Picture, chance_S: Floats, centre_2: Floats) -> Samples:
    """The regions that have a label with a chance above a half."""
    regions, chosen = pic.regions, chance_S > 0.5
    return Samples(
        regions.lab_S3[chosen],
        regions.wide_S3[chosen],
        regions.xy_S2[chosen] - centre_2,
        (regions.area_S * chance_S)[chosen],
    )


def learnt(pic: Picture, chance_S: Floats) -> Known:
    """What a prompt's mask says about its object; without any region, it is lost."""
    weight = pic.regions.area_S * chance_S * (chance_S > 0.5)
    area = float(weight.sum())
    if area <= 0:
        nothing = samples(pic, chance_S, np.zeros(2, np.float32))
        return Known(nothing, nothing, np.zeros(2, np.float32), 0.0, 1.0, 0.0, lost=True)
    centre = np.asarray((pic.regions.xy_S2 * weight[:, None]).sum(0) / area, np.float32)
    anchor = samples(pic, chance_S, centre)
    usual = float(likeness(pic, anchor, centre[None])[0])
    sure = float((weight * chance_S).sum() / area)
    return Known(anchor, anchor, centre, area, max(usual, 0.05), sure)


def likeness(pic: Picture, known: Samples, centres_M2: Floats) -> Floats:
    """How much of an object is seen if its centre is at each of some places: 0 to 1, ``[M]``."""
    if not len(known.lab_N3):
        return np.zeros(len(centres_M2), np.float32)
    height, width = pic.size
    at = np.rint(centres_M2[:, None] + known.at_N2).astype(np.int32)
    x, y = at[..., 0], at[..., 1]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    lab = pic.lab_HW3[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    gap = lab - known.lab_N3
    alike = np.exp(np.einsum("mnc,mnc->mn", gap, gap) * (-0.5 / ALIKE**2)) * inside
    return np.asarray(alike @ (known.weight_N / known.weight_N.sum()))


def _square(reach: int, step: int) -> Floats:
    across = np.arange(-reach, reach + 1, step, dtype=np.float32)
    return np.stack(np.meshgrid(across, across), -1).reshape(-1, 2)


_COARSE, _FINE = _square(REACH, 2), _square(1, 1)


def located(pic: Picture, known: Known, guess_2: Floats) -> tuple[Floats, float]:
    """Where an object is, near a guess, and how much of it is seen there."""
    best = guess_2
    for shifts, reach in ((_COARSE, 0.6 * REACH), (_FINE, REACH)):
        places = best + shifts
        score = likeness(pic, known.anchor, places) + likeness(pic, known.recent, places)
        score -= 0.15 * np.square((places - guess_2) / reach).sum(1)
        best = places[int(score.argmax())]
    return best, seen(pic, known, best)


def seen(pic: Picture, known: Known, centre_2: Floats) -> float:
    """How much of an object is seen at a place."""
    looks = (known.anchor, known.recent)
    return max(float(likeness(pic, look, centre_2[None])[0]) for look in looks)


def searched(pic: Picture, known: Known) -> tuple[Floats, float]:
    """Where an object is in the whole frame."""
    height, width = pic.size
    down, across = np.mgrid[2:height:4, 2:width:4].astype(np.float32)
    places = np.stack([across.ravel(), down.ravel()], 1)
    if not len(places) or not len(known.anchor.lab_N3):
        return known.centre, 0.0
    anchor = known.anchor
    largest = np.argsort(-anchor.weight_N, kind="stable")[:FEW]
    few = Samples(
        anchor.lab_N3[largest],
        anchor.wide_N3[largest],
        anchor.at_N2[largest],
        anchor.weight_N[largest],
    )
    return located(pic, known, places[int(likeness(pic, few, places).argmax())])
