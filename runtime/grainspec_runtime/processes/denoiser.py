"""One prediction of the denoiser for a whole clip, in windows if the clip is long.

Predictions of the same frame are averaged with the windows' weights, as MultiDiffusion (Bar-Tal et
al., 2023) averages over space. Inversion and sampling use the same windows and weights.

Dimensions: P passes, F frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from grainspec_runtime.backbones.family import Checkpoint, Controls
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.modulation.windowed import WindowedAttention


class Predict(Protocol):
    """Predicts for some frames of the clip, as :meth:`Checkpoint.predict` does."""

    def __call__(
        self,
        x_PFchw: Tensor,
        t: Tensor,
        conditioning: Any,
        frames: Sequence[int],
        *,
        step: int,
        steps: int,
    ) -> Tensor:
        """Return float32 ``[P * F, c, h, w]``, where F is the number of ``frames``."""


@dataclass(frozen=True)
class Denoiser:
    """A checkpoint's denoiser with the controls of the clip, if there are any.

    ``predictor`` replaces the plain prediction, for example by one with injection.
    """

    checkpoint: Checkpoint
    controls: Controls | None = None
    predictor: Predict | None = None

    @property
    def predict(self) -> Predict:
        """The function that predicts for the frames of one window."""
        return self.predictor or partial(self.checkpoint.predict, controls=self.controls)

    def __call__(
        self,
        x_PFchw: Tensor,
        t: Tensor,
        conditioning: Any,
        attention: Attention,
        *,
        step: int,
        steps: int,
        window_done: Callable[[int], None] = lambda done: None,
    ) -> Tensor:
        """Return the denoiser's output, float32 ``[P * F, c, h, w]``, at sampling step ``step``.

        ``conditioning`` comes from the checkpoint; ``attention`` is installed in the checkpoint.
        ``window_done`` is called with the number of finished windows, after each but the last.
        """
        predict = self.predict
        if not isinstance(attention, WindowedAttention):
            return predict(
                x_PFchw, t, conditioning, range(attention.frames), step=step, steps=steps
            )
        clip = x_PFchw.unflatten(0, (-1, attention.clip_frames))
        mean = torch.zeros_like(clip, dtype=torch.float32)
        for index, window in enumerate(attention.windows):
            if index:
                window_done(index)
            attention.select(index)
            chosen, weights = attention.frames_of[index], attention.weights_of[index]
            part = predict(
                clip[:, chosen].flatten(0, 1),
                t,
                conditioning,
                window.frames,
                step=step,
                steps=steps,
            )
            part = part.unflatten(0, (len(clip), -1)) * weights.view(-1, 1, 1, 1)
            mean.index_add_(1, chosen, part)
        return mean.flatten(0, 1)
