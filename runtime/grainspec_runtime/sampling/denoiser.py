"""One call of the networks at a step: the UNet, with what its ControlNets add.

A clip of several windows goes through them window by window. Predictions of the same frame are
averaged by the windows' weights, as MultiDiffusion (Bar-Tal et al., 2023) averages over space:
inversion and sampling ask the same question, and get the same mean for an answer.

Dimensions: P passes, F frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grainspec_runtime.backbones.load import Checkpoint
from grainspec_runtime.backbones.prompts import EncodedPrompt
from grainspec_runtime.backbones.windowed import ClipControl, WindowedControl
from grainspec_runtime.conditioning.nets import Controls


@dataclass(frozen=True)
class Denoiser:
    """A checkpoint's UNet under the clip's controls, if it has any."""

    checkpoint: Checkpoint
    controls: Controls | None = None

    def words(self, prompts: Sequence[EncodedPrompt], latents_Fchw: Tensor) -> dict[str, Any]:
        """The UNet's keyword arguments for a pass per prompt, of one frame each: all have these."""
        return self.checkpoint.denoiser_inputs(list(prompts), latents_Fchw[:1])

    def __call__(
        self,
        x_PFchw: Tensor,
        t: Tensor,
        words: dict[str, Any],
        control: ClipControl,
        *,
        step: int,
        steps: int,
        window_done: Callable[[int], None] = lambda done: None,
    ) -> Tensor:
        """What the UNet predicts, float32 ``[P * F, c, h, w]``, at sampling step ``step``.

        ``words`` are those of :meth:`words`; ``control`` is the one that is installed in the UNet.
        ``window_done`` is called with the number of finished windows after each but the last.
        """
        if not isinstance(control, WindowedControl):
            return self._predicted(x_PFchw, t, words, range(control.frames), step, steps)
        clip = x_PFchw.unflatten(0, (-1, control.clip_frames))
        found = torch.zeros_like(clip, dtype=torch.float32)
        for index, window in enumerate(control.windows):
            if index:
                window_done(index)
            control.look_through(index)
            chosen, weights = control.frames_of[index], control.weights_of[index]
            part = self._predicted(
                clip[:, chosen].flatten(0, 1), t, words, window.frames, step, steps
            )
            part = part.unflatten(0, (len(clip), -1)) * weights.view(-1, 1, 1, 1)
            found.index_add_(1, chosen, part)
        return found.flatten(0, 1)

    def _predicted(
        self,
        x_PFchw: Tensor,
        t: Tensor,
        words: dict[str, Any],
        frames: Sequence[int],
        step: int,
        steps: int,
    ) -> Tensor:
        """The prediction for these frames of the clip."""
        x = x_PFchw.to(self.checkpoint.dtype)
        given = _repeated(words, len(frames))
        extra: dict[str, Any] = {}
        if self.controls is not None:
            extra = self.controls.residuals(x, t, given, frames, step=step, steps=steps)
        output: Tensor = self.checkpoint.unet(x, t, **given, **extra, return_dict=False)[0]
        return output.float()


def _repeated(words: dict[str, Any], frames: int) -> dict[str, Any]:
    """Rows of a pass each, ``frames`` times."""
    return {
        name: _repeated(value, frames)
        if isinstance(value, dict)
        else value.repeat_interleave(frames, 0)
        for name, value in words.items()
    }
