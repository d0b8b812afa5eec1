"""Injection: the edit is sampled with features that the network has of the source clip.

Plug-and-Play (arXiv 2211.12572) makes these features anew at every injected step, by a pass over
the source clip's own latents at that timestep; others, VideoGrain's code among them, record them
during inversion. Here they are made anew:

- An inversion holds the latents of every step, and nothing else is needed: one from the cache, or
  a run that continues, injects as a fresh one does. Features of 16 frames, in half precision, are
  430 MB a step under Stable Diffusion 1.5 at 512 x 512, and 2.7 GB under XL at 1024 x 1024;
  recorded, those of 50 steps with the defaults would be 11 and 69 GB.
- They belong to the very point and timestep that sampling is at. The inversion's own passes do not:
  it asks the network at predicted points (see :mod:`grainspec_runtime.processes.invert`).
- Memory is bounded: the features of one step are kept from the source's pass to the edit's, and
  then freed. The source's pass comes before the edit's, not beside it in one batch, so that the
  network's own memory stays as without injection.

The price is the source's pass: one where guidance has two, so an injected step takes about half as
long again. A compiled denoiser runs the injected steps uncompiled.
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
    """A prediction whose first steps have the source clip's features.

    ``predict`` is the prediction without them. ``trajectory`` ``[steps + 1, F, c, h, w]`` is the
    source's inversion, ``source_conditioning`` the conditioning of its prompt, ``source_attention``
    the attention of its passes.
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
        """As the plain prediction; every pass over ``x`` has the features of the same frames.

        ControlNets see the source clip in both.
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
        # Not compiled: every kind of pass, with its own number of frames, would be compiled anew.
        with torch.compiler.set_stance("force_eager"):
            try:
                with self.checkpoint.installed(attention), self.features.keeping(**kinds):
                    self.predict(
                        source, t, self.source_conditioning, frames, step=step, steps=steps
                    )
                with self.features.giving(**kinds):
                    return self.predict(x_PFchw, t, conditioning, frames, step=step, steps=steps)
            finally:
                self.features.forget()


@contextmanager
def injecting(
    denoiser: Denoiser,
    inject: Inject | None,
    trajectory: Tensor,
    *,
    source: str,
    attention: Attention,
) -> Iterator[Denoiser]:
    """The denoiser to sample with inside the block: itself, where nothing is injected.

    ``source`` is the source clip's prompt, ``attention`` that of its passes: that of its inversion,
    without a plan. The network is as before at the end, whatever is raised inside.
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
