"""ControlVideo (Zhang et al., ICLR 2024, arXiv 2305.13077): a clip sampled under a ControlNet.

There is no inversion: what remains of the source is what the controls show of it. All frames begin
with the same noise, and each attends to all of them (fully cross-frame attention). At two steps the
predicted clip is smoothed (:mod:`grainspec_runtime.processes.smoother`).

A clip of more frames than those of `context` is sampled hierarchically: at every step, key frames
at the distance ``interval`` attend to each other; then the frames between two key frames attend to
these two. The frames that the network receives at once are thus key frames, or an interval.

With ``regions``, the plan modulates this attention and that to the words; and outside the edited
regions the latents are set back to the source's, at the same noise level and with the same noise:
a X + b N. At the end they are the source's.

The UNet's group norms are taken over the frames that it receives, as in the code, unless the spec's
``attention { norm }`` says otherwise.

Differences from the paper and its code: :attr:`ControlVideo.departures`.

Besides the latents of a step nothing is held; with blending, the source's at all noise levels, on
the CPU, as an inversion's are.

Dimensions: P passes, F frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from grainspec.model.settings.method import EditingName, method_of
from grainspec.plan.method_windows import hierarchy
from grainspec.plan.windows import FrameWindow
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.modulation.windowed import clip_attention
from grainspec_runtime.processes.methods.part_attention import part_attention
from grainspec_runtime.processes.methods.target_prompt import target_prompt
from grainspec_runtime.processes.process import Job, Sampled, Stage, State, Warn
from grainspec_runtime.processes.sample import sample
from grainspec_runtime.processes.smoother import (
    SMOOTHER_DEPARTURES,
    Smoothing,
    along_flow,
    mean_frame,
)
from grainspec_runtime.processes.without_inversion import WithoutInversion


class ControlVideo(WithoutInversion):
    """ControlVideo of one clip's latents ``[F, c, h, w]``; see :class:`Process`."""

    departures: ClassVar[tuple[str, ...]] = (
        *SMOOTHER_DEPARTURES,
        "In the published code the frames between two key frames attend to the first of these and "
        "to the last of themselves; here they attend to both key frames, because the paper says "
        "so.",
        "The published code takes group norms of ControlNets over all frames; here they are those "
        "of each frame, because stock ControlNets run on images.",
        "The published code adds words about quality to the prompt, a long negative prompt and a "
        "guidance of 12.5; here prompts and guidance are the spec's, because all methods are "
        "compared with the same.",
    )
    name: ClassVar[EditingName] = "controlvideo"
    version: ClassVar[int] = 1

    def run(
        self,
        job: Job,
        attention: Callable[[], Attention],
        *,
        stage: Stage,
        begin: tuple[int, State] | None,
        keep: Callable[[int, State], None],
        warn: Warn,
    ) -> Sampled:
        """Sample the clip under its controls, with the target prompt."""
        target = target_prompt(self.checkpoint, job)
        latents = self._sampled(job, target, "sample", stage, begin=begin, keep=keep)
        return Sampled(latents, reused=False)

    def reconstruct(self, job: Job, *, stage: Stage, warn: Warn) -> Tensor:
        """Sample the clip under its controls with the source prompt, in no regions."""
        method = method_of(job).replaced({}, regions="off")
        plain = replace(job, method=method, edited_F1hw=None)
        source = self.checkpoint.encode_prompt(job.source)
        return self._sampled(plain, source, "reconstruct", stage)

    def _sampled(
        self,
        job: Job,
        prompt: Any,
        name: str,
        stage: Stage,
        *,
        begin: tuple[int, State] | None = None,
        keep: Callable[[int, State], None] = lambda done, state: None,
    ) -> Tensor:
        checkpoint = self.checkpoint
        prompts = [checkpoint.encode_prompt(job.negative), prompt]
        scheduler = checkpoint.schedule.solver(job.sampler, checkpoint.device)
        clip = self.latents.float()
        start = shared_noise(clip, job.sampler.seed)
        method = method_of(job)
        middle = along_flow() if method.middle == "flow" else mean_frame
        with stage(name, job.variant) as progress:
            return sample(
                self.denoiser,
                start[None] if job.edited_F1hw is None else self._noised(clip, start, scheduler),
                self._attention(job),
                prompts,
                scheduler=scheduler,
                guidance=functools.partial(checkpoint.guidance_at, job.sampler),
                edited_F1hw=job.edited_F1hw,
                blend_from=job.blend_from,
                eta=job.sampler.eta,
                seed=job.sampler.seed,
                progress=progress,
                begin=begin,
                keep=keep,
                start_Fchw=start,
                after_step=Smoothing(self.denoiser, scheduler, method.smooth_from, middle),
            )

    def _attention(self, job: Job) -> Attention:
        """Return the attention of all frames, or of key frames and the intervals between them."""
        method, checkpoint = method_of(job), self.checkpoint
        windows = job.windows
        if len(windows) > 1:
            windows = hierarchy(len(self.latents), method.interval)

        def make(window: FrameWindow) -> Attention:
            return part_attention(
                checkpoint,
                job.plan,
                window.frames,
                "full" if window is windows[0] else "first_last",
                modulated=method.modulates,
                backend=job.backend,
            )

        return clip_attention(windows, make, device=checkpoint.device)

    def _noised(self, clip_Fchw: Tensor, noise_Fchw: Tensor, scheduler: Any) -> Tensor:
        """Return the clip at all noise levels, ``[steps + 1, F, c, h, w]``, itself the first."""
        *noisy, _ = self.checkpoint.schedule.rates(scheduler, clip_Fchw)
        levels = [rates.signal * clip_Fchw + rates.noise * noise_Fchw for rates in noisy]
        return torch.stack([clip_Fchw, *reversed(levels)]).cpu()


def shared_noise(latents_Fchw: Tensor, seed: int) -> Tensor:
    """Draw noise for one frame, on the CPU, and give it to every frame: ``[F, c, h, w]``."""
    one = latents_Fchw[:1]
    noise = torch.randn(one.shape, generator=torch.Generator().manual_seed(seed))
    return noise.to(one).repeat(len(latents_Fchw), 1, 1, 1)
