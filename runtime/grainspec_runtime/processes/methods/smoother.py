"""ControlVideo's interleaved-frame smoother (arXiv 2305.13077, section 3.2).

At two consecutive steps the clean frames that the step predicts are decoded, every second one is
replaced by the frame in the middle of its neighbours, and all are encoded again: odd frames at the
first of the two steps, even ones at the second. The step then ends at

    x ← x + a' (x̃₀ − x₀),    so that x = a' x̃₀ + b' ε for DDIM,

with the signal rate a' after the step.

Dimensions: F frames, c channels, h rows and w columns of latents, H rows and W columns of pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from grainspec_runtime.backbones.family import Checkpoint
from grainspec_runtime.media.decode import Frames

SMOOTHER_DEPARTURES = (
    "The paper makes middle frames with RIFE, a network with weights of its own; here optical flow "
    "makes them, or they are the mean, because no further weights are needed.",
    "The published code replaces a frame at an end of the clip by the middle of it and its one "
    "neighbour; here it stays, because it has no two neighbours.",
    "The published code encodes unrounded frames and samples from the VAE; here frames have 8 bits "
    "and the VAE's mean is taken, because flow is estimated on images and a run must repeat.",
)
"""What differs from the paper and its code."""

Middle = Callable[[Frames, Frames], Frames]
"""Takes two frames, uint8 ``[H, W, 3]``, and returns the one in the middle."""


def mean_frame(first_HW3: Frames, last_HW3: Frames) -> Frames:
    """Return the mean of two frames, uint8 ``[H, W, 3]``."""
    total = first_HW3.astype(np.uint16) + last_HW3
    return ((total + 1) // 2).astype(np.uint8)


def interleaved(frames_FHW3: Frames, first: int, middle: Middle) -> Frames:
    """Replace every second frame, from ``first`` on, by the middle of its neighbours.

    Frames with one neighbour stay.

    >>> clip = np.uint8([[[[10]]], [[[99]]], [[[30]]], [[[7]]]])
    >>> interleaved(clip, 1, mean_frame).ravel().tolist()
    [10, 20, 30, 7]
    """
    smooth = frames_FHW3.copy()
    for index in range(first or 2, len(frames_FHW3) - 1, 2):
        smooth[index] = middle(frames_FHW3[index - 1], frames_FHW3[index + 1])
    return smooth


@dataclass(frozen=True)
class Smoother:
    """Smooths the clean latents that a checkpoint predicts."""

    checkpoint: Checkpoint
    middle: Middle

    def __call__(self, clean_Fchw: Tensor, first: int) -> Tensor:
        """Return smoothed clean latents, float32 ``[F, c, h, w]``; ``first`` is 1 or 0."""
        frames = interleaved(self.checkpoint.decode_clip(clean_Fchw), first, self.middle)
        return self.checkpoint.encode_clip(frames).to(clean_Fchw)
