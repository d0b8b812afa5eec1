"""DFVEdit (Cai et al., arXiv 2506.20967): the clip moves along a delta flow vector.

The conditional delta flow vector of a step is the difference of two velocities, that of the edit
for the target prompt and that of the source clip for the source prompt, with the same noise. All
steps are taken, from pure noise on. See :mod:`grainspec_runtime.processes.flow_edit`, which has the
same equation for σ-weighted Euler steps.

Dimensions: F latent frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor

from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.processes.clip_key import ClipKey
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.flow_edit import flow_edit
from grainspec_runtime.processes.guided import Guided
from grainspec_runtime.processes.inversions import unmodulated
from grainspec_runtime.processes.process import Job, Sampled, Stage, State, Warn

_VERSION = 1
"""Increase it when results change, so that runs of other versions do not resume."""


class DFVEdit:
    """DFVEdit of one clip's latents ``[F, c, h, w]``; see :class:`Process`.

    It keeps nothing for other edits: there is no inversion.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        latents: Tensor,
        additions: dict[str, Any],
        *,
        use_cache: bool,
        look_up: bool,
    ) -> None:
        self.denoiser = denoiser
        self.checkpoint = denoiser.checkpoint
        self.latents = latents
        self._clip_key = ClipKey(denoiser, latents, additions)

    def key(self, job: Job) -> str:
        """Compute a hash of everything that the passes of the source depend on."""
        return self._clip_key(job, {"method": "dfvedit", "version": _VERSION})

    def holding(self, job: Job) -> AbstractContextManager[None]:
        """Do nothing: no cache entry belongs to a job."""
        return nullcontext()

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
        """Move the clip along the delta flow vector."""
        checkpoint, denoiser, latents = self.checkpoint, self.denoiser, self.latents
        with stage("edit", job.variant) as progress:
            negative = checkpoint.encode_prompt(job.negative)
            source = checkpoint.encode_prompt(job.source)
            target = checkpoint.encode_target(job.plan)
            edited = flow_edit(
                Guided(denoiser, unmodulated(job, denoiser), negative, source, latents),
                Guided(denoiser, attention(), negative, target, latents),
                latents,
                scheduler=checkpoint.schedule.solver(job.sampler, checkpoint.device),
                sampler=job.sampler.replaced({}, skip=0.0, average=1, amplify=0.0),
                edited_F1hw=job.edited_F1hw,
                progress=progress,
                begin=begin,
                keep=keep,
            )
        return Sampled(edited, reused=False)

    def reconstruct(self, job: Job, *, stage: Stage, warn: Warn) -> Tensor:
        """Return the clip's latents: with the source prompt as target nothing changes."""
        return self.latents.float()
