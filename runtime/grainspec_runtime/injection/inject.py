"""Injection: the edit is sampled with features that the network has of the source clip.

Plug-and-Play (arXiv 2211.12572) makes these features anew at every injected step, by a pass over
the source clip's own latents at that timestep; others, VideoGrain's code among them, record them
during inversion. Here they are made anew:

- An inversion holds the latents of every step, and nothing else is needed: one from the cache, or
  a run that continues, injects as a fresh one does. Features of 16 frames, in half precision, are
  430 MB a step under Stable Diffusion 1.5 at 512 x 512, and 2.7 GB under XL at 1024 x 1024;
  recorded, those of 50 steps with the defaults would be 11 and 69 GB.
- They belong to the very point and timestep that sampling is at. The inversion's own passes do not:
  it asks the network at predicted points (see :mod:`grainspec_runtime.sampling.invert`).
- Memory is bounded: the features of one step are kept from the source's pass to the edit's, and
  then freed. The source's pass comes before the edit's, not beside it in one batch, so that the
  network's own memory stays as without injection.

The price is the source's pass: one where guidance has two, so an injected step takes about half as
long again. Of a compiled UNet the injected steps run as they are, uncompiled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grainspec.model.numbers import first_steps
from grainspec.model.spec import Inject
from grainspec_runtime.backbones.unet import installed
from grainspec_runtime.backbones.windowed import ClipControl, WindowedControl
from grainspec_runtime.injection.features import SourceFeatures
from grainspec_runtime.injection.layers import injected_layers
from grainspec_runtime.sampling.denoiser import Denoiser


@dataclass(frozen=True, kw_only=True)
class InjectingDenoiser(Denoiser):
    """A denoiser whose first steps have the source clip's features.

    ``trajectory`` ``[steps + 1, F, c, h, w]`` is the source's way to noise, ``source_words`` the
    UNet's keyword arguments of its prompt, ``source_control`` the attention of its passes.
    """

    inject: Inject
    features: SourceFeatures
    trajectory: Tensor
    source_words: dict[str, Any]
    source_control: ClipControl

    def _predicted(
        self,
        x_PFchw: Tensor,
        t: Tensor,
        words: dict[str, Any],
        frames: Sequence[int],
        step: int,
        steps: int,
    ) -> Tensor:
        """As the plain denoiser's; every pass over ``x`` has the features of the same frames.

        ControlNets see the source clip in both.
        """
        kinds = {
            "residual": step < first_steps(self.inject.features, steps),
            "attention": step < first_steps(self.inject.self_, steps),
        }
        if not any(kinds.values()):
            return super()._predicted(x_PFchw, t, words, frames, step, steps)
        source = self.trajectory[-1 - step, list(frames)].to(x_PFchw.device)
        control = self.source_control
        if isinstance(control, WindowedControl):
            control.look_through([window.frames for window in control.windows].index(tuple(frames)))
        # Not compiled: every kind of pass, with its own number of frames, would be compiled anew.
        with torch.compiler.set_stance("force_eager"):
            try:
                with (
                    installed(self.checkpoint.unet, control),
                    self.features.in_mode("keep", **kinds),
                ):
                    super()._predicted(source, t, self.source_words, frames, step, steps)
                with self.features.in_mode("give", **kinds):
                    return super()._predicted(x_PFchw, t, words, frames, step, steps)
            finally:
                self.features.forget()


@contextmanager
def injecting(
    denoiser: Denoiser,
    inject: Inject | None,
    trajectory: Tensor,
    *,
    source: str,
    control: ClipControl,
) -> Iterator[Denoiser]:
    """The denoiser to sample with inside the block: itself, where nothing is injected.

    ``source`` is the source clip's prompt, ``control`` the attention of its passes: that of its
    inversion, without a plan. The UNet is as before at the end, whatever is raised inside.
    """
    if inject is None or not (inject.features or inject.self_):
        yield denoiser
        return
    checkpoint = denoiser.checkpoint
    features = SourceFeatures(checkpoint.unet, injected_layers(inject, checkpoint.unet.config))
    with features.installed():
        yield InjectingDenoiser(
            checkpoint=checkpoint,
            controls=denoiser.controls,
            inject=inject,
            features=features,
            trajectory=trajectory,
            source_words=denoiser.words([checkpoint.encode_prompt(source)], trajectory[-1]),
            source_control=control,
        )
