"""Warp-Err and Q-edit: how well an edit follows the motion of its source.

Dimensions: F frames, H rows, W columns.
"""

from __future__ import annotations

import numpy as np

from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.flow.warp import warped
from grainspec_runtime.media.decode import Frames


def warp_error(frames_FHW3: Frames, flow: ClipFlow) -> float | None:
    """Mean squared error between each frame, warped along ``flow``, and the next frame, × 10³.

    Colours are in [0, 1]. ``flow`` is the source clip's. Pixels that are occluded or outside in the
    previous frame are excluded; None if no pixel remains.

    >>> clip = np.zeros((2, 4, 4, 3), np.uint8)
    >>> clip[1] = 51  # a fifth brighter
    >>> still = np.zeros((1, 4, 4, 2), np.float32)
    >>> round(warp_error(clip, ClipFlow(still, still)), 6)
    40.0
    """
    error, pixels = 0.0, 0
    for pair, seen in enumerate(flow.seen_before_PHW):
        carried = warped(frames_FHW3[pair], flow.backward_PHW2[pair])
        gap = (carried - frames_FHW3[pair + 1])[seen].astype(np.float64) / 255
        error += float(np.square(gap).sum())
        pixels += gap.size
    return error / pixels * 1e3 if pixels else None


def q_edit(clip_t: float, warp_error: float) -> float | None:
    """CLIP-T / Warp-Err, higher is better; None if the warp error is 0.

    >>> round(q_edit(36.56, 1.42), 2)
    25.75
    """
    return clip_t / warp_error if warp_error > 0 else None
