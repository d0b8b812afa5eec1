"""Injection: sample the edit with features of the source clip.

Plug-and-Play (arXiv 2211.12572) recomputes these features at every injected step, with a pass over
the source clip's latents at that timestep. Other code, such as VideoGrain's, records them during
inversion. Here they are recomputed, for three reasons:

- The latents of the inversion are all that is needed, so cached inversions and resumed runs work
  without change. Features of 16 frames in half precision take 430 MB a step with Stable Diffusion
  1.5 at 512 x 512, and 2.7 GB with XL at 1024 x 1024. To record 50 steps with the default settings
  would take 11 GB and 69 GB.
- They are computed at the same latents and timestep as the sampling step. The passes of the
  inversion are not: they run at predicted points (see :mod:`grainspec_runtime.processes.invert`).
- Memory is bounded. Features are stored for one step only, from the source's pass to the edit's.
  The source's pass runs before the edit's, not in one batch with it, so the network itself needs
  no more memory than without injection.

The cost is one more pass besides the two of guidance, so an injected step takes about 50 % longer.
A compiled denoiser runs injected steps uncompiled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from grainspec.model.numbers import first_steps
from grainspec.model.spec import Inject
from grainspec_runtime.backbones.family import Checkpoint, SourceFeatures
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.modulation.windowed import WindowedAttention
from grainspec_runtime.processes.denoiser import Denoiser, Predict


@dataclass(frozen=True, kw_only=True)
class InjectingPredictor:
    """Predicts with the source clip's features in the first steps.

    ``predict`` is the prediction without injection. ``trajectory`` ``[steps + 1, F, c, h, w]`` is
    the source's inversion, ``source_conditioning`` the conditioning of its prompt, and
    ``source_attention`` the attention of its passes.
    """

    predict: Predict
    checkpoint: Checkpoint
    inject: Inject
    features: SourceFeatures
    trajectory: Tensor
    source_conditioning: Any
    source_attention: Attention

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
        """Predict as ``predict`` does, with the source's features of the same frames in every pass.

        ControlNets receive the source clip's control images in both.
        """
        kinds = {
            "residual": step < first_steps(self.inject.features, steps),
            "attention": step < first_steps(self.inject.self_, steps),
        }
        if not any(kinds.values()):
            return self.predict(x_PFchw, t, conditioning, frames, step=step, steps=steps)
        source = self.trajectory[-1 - step, list(frames)].to(x_PFchw.device)
        attention = self.source_attention
        if isinstance(attention, WindowedAttention):
            windows = [window.frames for window in attention.windows]
            attention.select(windows.index(tuple(frames)))
        # Not compiled: each kind of pass, with its own number of frames, would be recompiled.
        with torch.compiler.set_stance("force_eager"):
            try:
                with self.checkpoint.installed(attention), self.features.storing(**kinds):
                    self.predict(
                        source, t, self.source_conditioning, frames, step=step, steps=steps
                    )
                with self.features.replacing(**kinds):
                    return self.predict(x_PFchw, t, conditioning, frames, step=step, steps=steps)
            finally:
                self.features.clear()


@contextmanager
def injecting(
    denoiser: Denoiser,
    inject: Inject | None,
    trajectory: Tensor,
    *,
    source: str,
    attention: Attention,
) -> Iterator[Denoiser]:
    """Return the denoiser to sample with inside the block; unchanged if nothing is injected.

    ``source`` is the source prompt. ``attention`` is that of the source's passes, which is the
    attention of the inversion, without a plan. At the end the network is restored, whatever is
    raised inside.
    """
    if inject is None or not (inject.features or inject.self_):
        yield denoiser
        return
    checkpoint = denoiser.checkpoint
    features = checkpoint.source_features(inject)
    with features.installed():
        conditioning = checkpoint.condition([checkpoint.encode_prompt(source)], trajectory[-1])
        predictor = InjectingPredictor(
            predict=denoiser.predict,
            checkpoint=checkpoint,
            inject=inject,
            features=features,
            trajectory=trajectory,
            source_conditioning=conditioning,
            source_attention=attention,
        )
        yield replace(denoiser, predictor=predictor)
