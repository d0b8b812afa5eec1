"""Estimate the optical flow of a clip with DIS or RAFT."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.flow.pair import Pair
from grainspec_runtime.media.decode import Frames

Method = Literal["dis", "raft"]


def estimate_flow(
    frames_FHW3: Frames,
    method: Method = "dis",
    *,
    weights: Path | None = None,
    device: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ClipFlow:
    """Estimate the flow between consecutive frames, forward and backward.

    The clip is uint8 ``[F, H, W, 3]`` RGB. ``dis`` is OpenCV's DIS and runs on the CPU. ``raft`` is
    torchvision's RAFT and runs on ``device``; ``weights`` is passed to
    :func:`grainspec_runtime.flow.raft.raft`. Raises GrainError: G501 if the package is not
    installed, G502 or G503 if RAFT's weights cannot be loaded or downloaded.
    """
    pair = pair_estimator(method, weights=weights, device=device)
    count, height, width, _ = frames_FHW3.shape
    forward = np.zeros((max(count - 1, 0), height, width, 2), np.float32)
    backward = np.zeros_like(forward)
    for index in range(count - 1):
        first, second = frames_FHW3[index], frames_FHW3[index + 1]
        forward[index], backward[index] = pair(first, second), pair(second, first)
        progress(index + 1, count - 1)
    return ClipFlow(forward, backward)


def pair_estimator(
    method: Method, *, weights: Path | None = None, device: str | None = None
) -> Pair:
    """Return the flow estimator of a method, with its network loaded; raises as above."""
    if method == "raft":
        from grainspec_runtime.flow.raft import raft

        return raft(weights, device=device)
    from grainspec_runtime.flow.dis import dis

    return dis()
