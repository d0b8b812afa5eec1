"""The inversions of one clip: read from the cache, or computed and cached."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from grainspec_runtime.cache.inversions import Trajectories, load_inversion, save_inversion
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.modulation.windowed import clip_attention
from grainspec_runtime.processes.clip_key import ClipKey
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.invert import invert
from grainspec_runtime.processes.process import Job, Progress, Warn

_INVERSION_VERSION = 3
"""Increase it when :func:`invert` changes its results, so that old cache entries are not used."""


class Inversions:
    """The inversions of one clip: the last one used, those in the cache, and new ones.

    ``additions`` is the value of :meth:`LoadOptions.additions`. Without ``use_cache`` nothing is
    written to the cache; without ``look_up`` nothing is read from it.
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
        self._use_cache = use_cache
        self._look_up = look_up
        self.handed_on: Trajectories | None = None
        """What other processes have made, or may use; None: only the cache has them."""
        self._last: tuple[str, Tensor] | None = None

    def key(self, job: Job) -> str:
        """Return the cache key of a job's trajectory."""
        return self._clip_key(job, {"version": _INVERSION_VERSION})

    def of(self, job: Job, progress: Progress, warn: Warn) -> tuple[Tensor, bool]:
        """Return the trajectory for a job, and whether it existed before.

        ``progress`` receives the steps; while a shared cache is read or written, megabytes.
        """
        key = self.key(job)
        if self._last and self._last[0] == key:
            return self._kept(key, self._last[1]), True
        if self.handed_on and key in self.handed_on:
            return self._kept(key, torch.tensor(self.handed_on[key])), True
        cached = load_inversion(key, warn, progress) if self._look_up else None
        if cached is not None and cached.shape[1:] != self.latents.shape:
            cached = None
        if self.denoiser.ranks.agree(cached is not None) and cached is not None:
            return self._kept(key, cached), True
        trajectory = invert(
            self.denoiser,
            self.latents,
            unmodulated(job, self.denoiser),
            prompt=job.source,
            scheduler=self.checkpoint.schedule.solver(job.sampler, self.checkpoint.device),
            progress=progress,
        )
        if self._use_cache:
            about = {**(job.about or {}), "steps": str(job.sampler.steps), "source": job.source}
            about.pop("target", None)
            save_inversion(key, trajectory, about, warn, progress)
        return self._kept(key, trajectory), False

    def _kept(self, key: str, trajectory: Tensor) -> Tensor:
        self._last = key, trajectory
        if self.handed_on is not None and key not in self.handed_on:
            self.handed_on[key] = trajectory.detach().float().cpu().numpy()
        return trajectory


def unmodulated(job: Job, denoiser: Denoiser) -> Attention:
    """Return the attention over the frames in scope, without a plan."""
    checkpoint = denoiser.checkpoint
    return clip_attention(
        job.windows,
        lambda window: checkpoint.attention(len(window.frames), job.plan.attention),
        device=checkpoint.device,
    )
