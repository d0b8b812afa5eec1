"""The frame in the middle of two others, by optical flow.

Dimensions: H rows, W columns.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grainspec_runtime.flow.pair import Pair
from grainspec_runtime.flow.warp import warped

_Frame = npt.NDArray[np.uint8]


def middle_frame(first_HW3: _Frame, last_HW3: _Frame, pair: Pair) -> _Frame:
    """Interpolate the frame halfway between two frames, uint8 ``[H, W, 3]``.

    With the flows F₀₁ and F₁₀ between them, those from the middle to the first and to the last
    frame are (F₁₀ − F₀₁) / 4 and (F₀₁ − F₁₀) / 4 (Super SloMo, 1712.00080, eq. 4 at t = 1/2). The
    middle is the mean of both frames, warped along these. Equal frames have exactly themselves as
    the middle.
    """
    if np.array_equal(first_HW3, last_HW3):
        return first_HW3
    change = (pair(first_HW3, last_HW3) - pair(last_HW3, first_HW3)) / 4
    sides = warped(first_HW3, -change), warped(last_HW3, change)
    return np.rint((sides[0] + sides[1]) / 2).astype(np.uint8)
