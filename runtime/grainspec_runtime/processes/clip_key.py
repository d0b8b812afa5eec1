"""The key of what processes compute from a clip without its edit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from grainspec_runtime.cache.inversions import inversion_key
from grainspec_runtime.models.fingerprint import fingerprint
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.process import Job


class ClipKey:
    """Hashes what the unmodulated passes of one clip's jobs depend on: model, clip and settings.

    ``additions`` is the value of :meth:`LoadOptions.additions`.
    """

    def __init__(self, denoiser: Denoiser, latents: Tensor, additions: dict[str, Any]) -> None:
        self.denoiser = denoiser
        self.checkpoint = denoiser.checkpoint
        self.latents = latents
        self._additions = [
            [name, file["sha256"], file.get("scale"), file.get("word")]
            for name, files in additions.items()
            for file in files
        ]
        self._model: list[object] | None = None
        self._keys: dict[str, str] = {}  # by facts: hashing the latents of a long clip is slow

    def __call__(self, job: Job, first: Mapping[str, Any]) -> str:
        """Return the key for a job; ``first`` says what the key is for, and which version."""
        if self._model is None:
            self._model = fingerprint(self.checkpoint.folder, self.checkpoint.file)
        schedule = self.checkpoint.schedule
        facts = {
            **first,
            "model": self._model,
            "additions": self._additions,
            "source": job.source,
            **schedule.facts(schedule.solver(job.sampler, self.checkpoint.device)),
            "controls": self.denoiser.controls.facts() if self.denoiser.controls else [],
            **self.checkpoint.pass_facts(job.plan.attention),
            "dtype": str(self.checkpoint.dtype),
        }
        if self.checkpoint.division is not None:  # equal up to rounding; windows: bit-identical
            facts["division"] = self.checkpoint.division
        if len(job.windows) > 1:
            facts["windows"] = [[window.frames, window.weights] for window in job.windows]
        text = repr(facts)
        if text not in self._keys:
            self._keys[text] = inversion_key(self.latents, facts)
        return self._keys[text]
