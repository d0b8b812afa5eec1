"""Dense inverse search (DIS; Kroeger et al., ECCV 2016), as implemented in OpenCV."""

from __future__ import annotations

from typing import Any

import numpy as np

from grainspec.diagnostics import fail
from grainspec_runtime.flow.pair import Pair

_LEAST = 64
"""Smaller frames are padded to this size: the coarsest level of DIS needs a few patches."""


def dis() -> Pair:
    """Return a DIS flow estimator; raises GrainError (G501) if OpenCV is not installed."""
    try:
        import cv2
    except ImportError as error:
        cure = "Install it with: pip install opencv-python-headless"
        raise fail("G501", "optical flow requires OpenCV, which is not installed", cure) from error
    method: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    method.setFinestScale(0)

    def pair(first: Any, second: Any) -> Any:
        height, width = first.shape[:2]
        padding = ((0, max(0, _LEAST - height)), (0, max(0, _LEAST - width)))
        grey = [
            np.pad(cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY), padding, "edge")
            for frame in (first, second)
        ]
        return method.calc(grey[0], grey[1], None)[:height, :width]

    return pair
