"""Estimate a clip's flow with the method of choice."""

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
    """The flow between consecutive frames, both ways, of a clip uint8 ``[F, H, W, 3]`` RGB.

    ``dis`` is OpenCV's DIS and runs on the CPU; ``raft`` is torchvision's RAFT, with ``weights`` as
    :func:`grainspec_runtime.flow.raft.raft` takes them, on ``device``. Raises GrainError: G501
    where the package is not installed, G502 or G503 where RAFT's weights are not to be had.
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
    """What estimates the flow of one pair of frames; loads what it needs, and raises as above."""
    if method == "raft":
        from grainspec_runtime.flow.raft import raft

        return raft(weights, device=device)
    from grainspec_runtime.flow.dis import dis

    return dis()
