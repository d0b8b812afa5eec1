"""What the background explains: is a pixel's colour also there when the background has moved on?

Frames nearby are aligned by the background's motion. A pixel of the background then has the same
colour in them, except where an object hides it; a pixel of an object that moves differently does
not. It needs no model of the object, so it also holds for limbs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from grainspec_runtime.tracking.engines.colour.motion import grid, sampled
from grainspec_runtime.tracking.engines.colour.picture import Floats, Picture

ALIKE = 8.0
"""σ of colours in Lab."""
FAR = 60.0
"""From how far the motion of the background is taken where nothing is nearer, in pixels."""
COARSE = 4
"""Motion is interpolated on pixels of this size."""


def explained(
    pic: Picture,
    others: Sequence[tuple[Picture, Floats]],
    ground_HW: Floats,
) -> tuple[Floats, Floats]:
    """The share of other frames that agree with the background's motion, per region, ``[S]``.

    Only the better half of the frames counts: an object may hide the background in the others.

    others: pictures with the displacement of each pixel, ``[H, W, 2]``. ground_HW: how surely a
    pixel is background. Also returns how surely it can be judged, ``[S]``: 0 where the background
    comes from outside the frame.
    """
    agreed, seen = [], []
    for other, moved in others:
        best = np.zeros(pic.size, np.float32)
        visible = np.zeros(pic.size, np.float32)
        for filled in (
            _filled(moved, ground_HW, 40.0, 3.0),
            _filled(moved, ground_HW, 12.0, 12.0),
        ):
            at = grid(pic.size) + filled
            height, width = pic.size
            inside = (at >= -0.5).all(-1) & (at[..., 0] < width) & (at[..., 1] < height)
            gap = _least_gap(pic.lab_HW3, other.lab_HW3, at)
            best = np.maximum(best, np.exp(-0.5 * np.square(gap / ALIKE)) * inside)
            visible = np.maximum(visible, inside.astype(np.float32))
        agreed.append(best)
        seen.append(visible)
    half = (len(agreed) + 1) // 2
    share = -np.sort(-np.stack(agreed), axis=0)[:half].mean(0)
    known = np.stack(seen).max(0)
    share = share / np.maximum(np.minimum(np.stack(seen).sum(0), half) / half, 1 / half)
    return pic.regions.mean(share[..., None])[:, 0], pic.regions.mean(known[..., None])[:, 0]


def _least_gap(here_HW3: Floats, there_HW3: Floats, at_HW2: Floats) -> Floats:
    """The difference in Lab to the most similar colour within a pixel or so."""
    gaps = [
        np.linalg.norm(sampled(there_HW3, at_HW2 + np.array(shift, np.float32)) - here_HW3, axis=-1)
        for shift in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    ]
    return np.asarray(np.min(gaps, axis=0))


def _filled(moved_HW2: Floats, ground_HW: Floats, across: float, down: float) -> Floats:
    """The background's motion everywhere, interpolated where the background is hidden."""
    height, width = ground_HW.shape
    small = max(1, width // COARSE), max(1, height // COARSE)
    known: Any = np.dstack([moved_HW2 * ground_HW[..., None], ground_HW])
    known = cv2.resize(known, small, interpolation=cv2.INTER_AREA)
    near = cv2.GaussianBlur(known, (0, 0), sigmaX=across / COARSE, sigmaY=down / COARSE)
    far = cv2.GaussianBlur(known, (0, 0), FAR / COARSE)
    blended = near + 0.02 * far / (far[..., 2:] + 1e-6)
    filled = cv2.resize(blended[..., :2] / blended[..., 2:], (width, height))
    weight = ground_HW[..., None]
    return np.asarray(weight * moved_HW2 + (1 - weight) * filled)
