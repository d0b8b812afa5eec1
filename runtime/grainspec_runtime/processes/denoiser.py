"""One prediction of the denoiser for a whole clip, in windows if the clip is long.

Predictions of the same frame are averaged with the windows' weights, as MultiDiffusion (Bar-Tal et
al., 2023) averages over space. Inversion and sampling use the same windows and weights. Several
processes can divide the windows of a prediction (:mod:`grainspec_runtime.ranks`).

Dimensions: P passes, F frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from grainspec_runtime.backbones.family import Checkpoint, Controls
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.modulation.windowed import WindowedAttention
from grainspec_runtime.ranks import ALONE, Ranks


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

    ``predictor`` replaces the plain prediction, for example by one with injection. ``ranks``
    says which windows this process predicts for.
    """

    checkpoint: Checkpoint
    controls: Controls | None = None
    predictor: Predict | None = None
    ranks: Ranks = ALONE

    @property
    def alone(self) -> Self:
        """The denoiser that predicts for all windows in this process."""
        return replace(self, ranks=ALONE)

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
        ``window_done`` is called with the number of finished windows, after each but the last; if
        windows are divided, with about that number.
        """
        predict = self.predict
        if not isinstance(attention, WindowedAttention):
            return predict(
                x_PFchw, t, conditioning, range(attention.frames), step=step, steps=steps
            )
        clip = x_PFchw.unflatten(0, (-1, attention.clip_frames))

        def own() -> Iterator[Tensor]:
            for index in self.ranks.own(len(attention.windows)):
                if index:
                    window_done(index)
                attention.select(index)
                part = clip[:, attention.frames_of[index]].flatten(0, 1)
                frames = attention.windows[index].frames
                yield predict(part, t, conditioning, frames, step=step, steps=steps)

        mean = torch.zeros_like(clip, dtype=torch.float32)
        passes, _, *latent = clip.shape
        shapes = [(passes, len(window.frames), *latent) for window in attention.windows]
        parts = self.ranks.gathered(own(), shapes, like=mean)
        places = zip(shapes, attention.frames_of, attention.weights_of, strict=True)
        for part, (shape, frames, weights) in zip(parts, places, strict=True):
            mean.index_add_(1, frames, part.view(shape) * weights.view(-1, 1, 1, 1))
        return mean.flatten(0, 1)
