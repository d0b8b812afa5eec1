"""What processes without an inversion share: they store nothing for other edits of the clip."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from torch import Tensor

from grainspec.model.settings.method import EditingName
from grainspec_runtime.processes.clip_key import ClipKey
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.process import Job, Stage, Warn


class WithoutInversion:
    """An edit of one clip's latents ``[F, c, h, w]`` that begins without an inversion."""

    name: ClassVar[EditingName]
    version: ClassVar[int]
    """Increase it when results change, so that runs of other versions do not resume."""

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
        """Compute a hash of everything that the passes without a plan depend on."""
        return self._clip_key(job, {"process": self.name, "version": self.version})

    def holding(self, job: Job) -> AbstractContextManager[None]:
        """Do nothing: no cache entry belongs to a job."""
        return nullcontext()

    def share(self, job: Job, *, stage: Stage, warn: Warn) -> bool | None:
        """Return None: there is no inversion."""
        return None

    def reconstruct(self, job: Job, *, stage: Stage, warn: Warn) -> Tensor:
        """Return the clip's latents: with the source prompt as target nothing changes."""
        return self.latents.float()
