"""What processes that begin with an inversion of the clip share.

Dimensions: F frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from grainspec_runtime.cache.inversions import KIND
from grainspec_runtime.cache.store import using
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.inversions import Inversions, unmodulated
from grainspec_runtime.processes.process import Job, Stage, Warn
from grainspec_runtime.processes.sample import sample

OF_INVERSION = (
    "The inversion of the published code evaluates the denoiser at the start of each step; here it "
    "is evaluated at a prediction of the step's end, because that leads back more closely at the "
    "same cost."
)
"""A departure of everything that inverts (:mod:`grainspec_runtime.processes.invert`)."""


class WithInversion:
    """Inverts one clip's latents ``[F, c, h, w]``, and reconstructs them from the noise.

    A process that inverts in another way overrides :meth:`inverting` or :meth:`inverted`.
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
        self.inverter = self.inverting(denoiser)
        self.inversions = Inversions(
            self.inverter, latents, additions, use_cache=use_cache, look_up=look_up
        )

    def inverting(self, denoiser: Denoiser) -> Denoiser:
        """Return the denoiser that inverts the clip."""
        return denoiser

    def inverted(self, job: Job) -> Job:
        """Return the job whose unmodulated passes invert the clip."""
        return job

    def key(self, job: Job) -> str:
        """Compute a hash of everything that the inversion for a job depends on."""
        return self.inversions.key(self.inverted(job))

    def holding(self, job: Job) -> AbstractContextManager[None]:
        """Protect the cached inversion for a job from eviction inside the block."""
        return using(KIND, self.key(job))

    def share(self, job: Job, *, stage: Stage, warn: Warn) -> bool | None:
        """Invert the clip for a job, unless that inversion is cached; return whether it was."""
        with stage("invert", job.variant) as progress:
            _, existed = self.inversions.of(self.inverted(job), progress, warn)
        return existed

    def reconstruct(self, job: Job, *, stage: Stage, warn: Warn) -> Tensor:
        """Sample the clip from its noise with the source prompt: no guidance, plan or blending."""
        inverted = self.inverted(job)
        trajectory, _ = self.inversions.of(inverted, lambda done, total: None, warn)
        with stage("reconstruct", job.variant) as progress:
            return sample(
                self.inverter,
                trajectory,
                unmodulated(inverted, self.inverter),
                [self.checkpoint.encode_prompt(job.source)],
                scheduler=self.solver(job),
                guidance=1.0,
                progress=progress,
            )

    def solver(self, job: Job) -> Any:
        """Return the solver of a job, with its timesteps."""
        return self.checkpoint.schedule.solver(job.sampler, self.checkpoint.device)
