"""What the background explains: is a pixel's colour also there when the background has moved on?

Frames nearby are aligned by the background's motion. A pixel of the background then has the same
colour in them, except where an object hides it; a pixel of an object that moves differently does
not. It needs no model of the object, so it also holds for limbs.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from grainspec_runtime.tracking.engines.colour.motion import grid, sampled
from grainspec_runtime.tracking.engines.colour.picture import Floats, Picture

ALIKE = 8.0
"""σ of colours in Lab."""


def explained(
    pic: Picture,
    others: Sequence[tuple[Picture, Floats]],
    ground_HW: Floats,
) -> tuple[Floats, Floats]:
    """The share of other frames that agree with the background's motion, per region, ``[S]``.

    others: pictures with the displacement of each pixel, ``[H, W, 2]``. ground_HW: how surely a
    pixel is background. Also returns how far background and pixel have parted, in pixels.
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
    half = (len(agreed) + 1) // 2  # an object may hide the background in the others
    share = -np.sort(-np.stack(agreed), axis=0)[:half].mean(0)
    known = np.stack(seen).max(0)
    share = share / np.maximum(np.minimum(np.stack(seen).sum(0), half) / half, 1 / half)
    return pic.regions.mean(share[..., None])[:, 0], pic.regions.mean(known[..., None])[:, 0]


def _least_gap(here_HW3: Floats, there_HW3: Floats, at_HW2: Floats) -> Floats:
    """The difference in Lab to the most similar colour within a pixel or so."""
    gaps = [
        np.linalg.norm(sampled(there_HW3, at_HW2 + np.float32(shift)) - here_HW3, axis=-1)
        for shift in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    ]
    return np.asarray(np.min(gaps, axis=0))


def _filled(moved_HW2: Floats, ground_HW: Floats, across: float, down: float) -> Floats:
    """The background's motion everywhere, interpolated where the background is hidden."""
    weight = cv2.GaussianBlur(ground_HW, (0, 0), sigmaX=across, sigmaY=down)
    blurred = cv2.GaussianBlur(moved_HW2 * ground_HW[..., None], (0, 0), sigmaX=across, sigmaY=down)
    wide = cv2.GaussianBlur(ground_HW, (0, 0), 60.0) + 1e-6
    far = cv2.GaussianBlur(moved_HW2 * ground_HW[..., None], (0, 0), 60.0) / wide[..., None]
    filled = (blurred + 0.02 * far) / (weight + 0.02)[..., None]
    return np.asarray(ground_HW[..., None] * moved_HW2 + (1 - ground_HW[..., None]) * filled)
