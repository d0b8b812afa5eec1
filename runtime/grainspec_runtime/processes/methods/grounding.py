"""Guided predictions in which the two passes differ: what is grounded, and the null embeddings.

Ground-A-Video (arXiv 2310.01107) shows the boxes to the conditional pass only. Its unconditional
pass attends, in cross-attention, to the null embeddings of all frames at once ("modulated
cross-attention"). These are the same keys for every frame, so they are one long text here, and the
passes run one after the other.

Dimensions: P passes, F frames, c channels, h rows and w columns of latents, T text tokens, C their
width, S sampling steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grainspec.model.numbers import first_steps
from grainspec_runtime.backbones.family import Checkpoint
from grainspec_runtime.backbones.unets.gated import GatedObjects
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.modulation.windowed import WindowedAttention
from grainspec_runtime.processes.denoiser import Predict
from grainspec_runtime.processes.methods.null_text import TEXT


@dataclass(frozen=True, kw_only=True)
class GroundedPredictor:
    """Predicts the unconditional and the conditional pass, each with its own inputs.

    predict: the prediction of one pass. plain: the attention of the unconditional pass.
    negative, target: the UNet's inputs for the prompts. null_SFTC: the unconditional embeddings of
    every step and frame, in place of the negative prompt's. objects: for gated layers, in the first
    ``share`` of the steps.
    """

    predict: Predict
    checkpoint: Checkpoint
    plain: Attention
    negative: dict[str, Any]
    target: dict[str, Any]
    null_SFTC: Tensor | None = None
    objects: GatedObjects | None = None
    share: float = 1.0

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
        """Predict both passes of ``frames``; ``conditioning`` is that of this predictor."""
        unconditional, conditional = x_PFchw.chunk(2)
        grounded = step < first_steps(self.share, steps)
        if isinstance(self.plain, WindowedAttention):
            windows = [window.frames for window in self.plain.windows]
            self.plain.select(windows.index(tuple(frames)))
        # not compiled: the passes differ in their texts' lengths
        with torch.compiler.set_stance("force_eager"):
            with self.checkpoint.installed(self.plain), self._shown(frames, grounded, null=True):
                inputs = self._unconditional(step, frames, unconditional.device)
                first = self.predict(unconditional, t, inputs, frames, step=step, steps=steps)
            with self._shown(frames, grounded, null=False):
                last = self.predict(conditional, t, self.target, frames, step=step, steps=steps)
        return torch.cat([first, last])

    def _unconditional(
        self, step: int, frames: Sequence[int], device: torch.device
    ) -> dict[str, Any]:
        if self.null_SFTC is None:
            return self.negative
        text_1NC = self.null_SFTC[step, list(frames)].flatten(0, 1)[None]
        return {**self.negative, TEXT: text_1NC.to(device)}

    def _shown(
        self, frames: Sequence[int], grounded: bool, *, null: bool
    ) -> AbstractContextManager[None]:
        if self.objects is None or not grounded:
            return nullcontext()
        return self.objects.shown(frames, null=null)
