"""Optical flow between frames of a clip, and where it leads over several frames."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from grainspec_runtime.tracking.engines.colour.picture import Floats, Picture

_LEAST = 64
"""Smaller frames are padded to this size: the coarsest level needs a few patches."""

Flow = Callable[[Picture, Picture], Floats]
"""From two pictures to the flow from the first to the second, ``[H, W, 2]`` in pixels."""


def dense_flow() -> Flow:
    """Dense inverse-search flow, accurate to a pixel or two, which is enough for masks."""
    method: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    method.setFinestScale(1)

    def flow(first: Picture, second: Picture) -> Floats:
        height, width = first.size
        padding = ((0, max(0, _LEAST - height)), (0, max(0, _LEAST - width)))
        grey = [np.pad(picture.grey_HW, padding, "edge") for picture in (first, second)]
        return np.asarray(method.calc(grey[0], grey[1], None)[:height, :width])

    return flow


def grid(size: tuple[int, int]) -> Floats:
    """The position of each pixel, ``[H, W, 2]``, x and y from 0."""
    down, across = np.mgrid[: size[0], : size[1]].astype(np.float32)
    return np.stack([across, down], -1)


def sampled(values_HWC: Floats, at_HW2: Floats) -> Floats:
    """Sample bilinearly; outside, the border is repeated."""
    at_x, at_y = np.ascontiguousarray(at_HW2[..., 0]), np.ascontiguousarray(at_HW2[..., 1])
    return np.asarray(
        cv2.remap(values_HWC, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    )


def displacements(flow: Flow, pictures: list[Picture]) -> list[Floats]:
    """How far each pixel of the first picture has moved in each other one, ``[H, W, 2]``."""
    start = grid(pictures[0].size)
    at, moved = start, []
    for first, second in pairwise(pictures):
        at = at + sampled(flow(first, second), at)
        moved.append(at - start)
    return moved
