"""ControlVideo's interleaved-frame smoother (arXiv 2305.13077, section 3.2).

At two consecutive steps the clean frames that the step predicts are decoded, every second one is
replaced by the frame in the middle of its neighbours, and all are encoded again: odd frames at the
first of the two steps, even ones at the second. The step then ends at

    x ← x + a' (x̃₀ − x₀),    so that x = a' x̃₀ + b' ε for DDIM,

with the signal rate a' after the step. What a later step of the solver remembers of earlier ones
stays as it is.

Dimensions: F frames, c channels, h rows and w columns of latents, H rows and W columns of pixels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grainspec.model.numbers import first_steps
from grainspec_runtime.backbones.family import Checkpoint
from grainspec_runtime.flow.estimate import pair_estimator
from grainspec_runtime.flow.middle import middle_frame
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.frames import decoded, encoded
from grainspec_runtime.processes.sample import SolverStep
from grainspec_runtime.ranks import ALONE, Ranks
from grainspec_runtime.schedules.schedule import Rates

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
    """Smooths the clean latents that a checkpoint predicts; processes share it as ``ranks`` say."""

    checkpoint: Checkpoint
    middle: Middle
    ranks: Ranks = ALONE

    def __call__(self, clean_Fchw: Tensor, first: int) -> Tensor:
        """Return smoothed clean latents, float32 ``[F, c, h, w]``; ``first`` is 1 or 0.

        Where no frame has two neighbours, the latents are returned as they are.
        """
        frames = decoded(self.checkpoint, clean_Fchw, self.ranks)
        smooth = interleaved(frames, first, self.middle)
        if np.array_equal(smooth, frames):
            return clean_Fchw
        return encoded(self.checkpoint, smooth, self.ranks).to(clean_Fchw)


def along_flow() -> Middle:
    """Return the middle of two frames along the optical flow between them (DIS of OpenCV)."""
    return functools.partial(middle_frame, pair=pair_estimator("dis"))


class Smoothing:
    """Smooths the clip that a step predicts, at two steps: an ``after_step`` of sampling.

    share: that of the sampling steps before the first of the two.
    """

    def __init__(self, denoiser: Denoiser, scheduler: Any, share: float, middle: Middle) -> None:
        self._schedule, self._scheduler = denoiser.checkpoint.schedule, scheduler
        self._first = first_steps(share, len(scheduler.timesteps))
        self._smoother = Smoother(denoiser.checkpoint, middle, denoiser.ranks)

    def __call__(self, step: SolverStep) -> Tensor:
        """Return the latents after the step with a smoother clip in them."""
        after = step.after_Fchw
        if step.number not in (self._first, self._first + 1):
            return after
        rates = self._schedule.rates(self._scheduler, after)
        here, there = rates[step.number], rates[step.number + 1]
        direction = self._schedule.direction(step.output_Fchw, step.before_Fchw, here)
        none = Rates(torch.ones_like(here.signal), torch.zeros_like(here.noise))
        clean = self._schedule.moved(step.before_Fchw, direction, here, none)
        smooth = self._smoother(clean, 1 if step.number == self._first else 0)
        return after + there.signal * (smooth - clean)
