"""The inversions of one clip: found in the cache, or made and kept there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from grainspec.model.spec import EditSpec
from grainspec.plan.windows import frame_windows
from grainspec_runtime.backbones.fingerprint import fingerprint
from grainspec_runtime.backbones.load import Checkpoint
from grainspec_runtime.backbones.norms import norm_scope
from grainspec_runtime.backbones.unet import AttentionControl
from grainspec_runtime.backbones.windowed import ClipControl, clip_control
from grainspec_runtime.cache.inversions import inversion_key, load_inversion, save_inversion
from grainspec_runtime.cache.store import Warn
from grainspec_runtime.prepare import Prepared
from grainspec_runtime.sampling.denoiser import Denoiser
from grainspec_runtime.sampling.invert import invert
from grainspec_runtime.sampling.solvers import solver

_INVERSION_VERSION = 3
"""Raised whenever :func:`invert` changes its results, so that old cache entries are not found."""


class Inversions:
    """The ways to noise of one clip: the last that was found, those on disk, and new ones."""

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
        self.additions = [
            [name, one["sha256"], one.get("scale"), one.get("word")]
            for name, all_ in additions.items()
            for one in all_
        ]
        self.latents = latents
        self.use_cache = use_cache
        self.look_up = look_up
        self.last: tuple[str, Tensor] | None = None
        self._model: list[object] | None = None

    def key(self, spec: EditSpec) -> str:
        """What the trajectory for a spec is kept under."""
        if self._model is None:
            self._model = fingerprint(self.checkpoint)
        facts = {
            "version": _INVERSION_VERSION,
            "model": self._model,
            "additions": self.additions,
            "source": spec.source,
            "timesteps": scheduler_of(self.checkpoint, spec).timesteps.tolist(),
            "controls": self.denoiser.controls.facts() if self.denoiser.controls else [],
            "scope": spec.modulation.frames,
            "norm": norm_scope(spec.modulation.norm, spec.model),
            "dtype": str(self.checkpoint.dtype),
        }
        windows = frame_windows(len(self.latents), spec.context)
        if len(windows) > 1:
            facts["windows"] = [[window.frames, window.weights] for window in windows]
        return inversion_key(self.latents, facts)

    def of(
        self, one: Prepared, key: str, report: Callable[[int, int], None], warn: Warn
    ) -> tuple[Tensor, bool]:
        """The trajectory for an edit, kept under its ``key``; whether it was found before."""
        spec, checkpoint = one.spec, self.checkpoint
        if self.last and self.last[0] == key:
            return self.last[1], True
        found = load_inversion(key, warn) if self.look_up else None
        if found is not None and found.shape[1:] == self.latents.shape:
            self.last = key, found
            return found, True
        trajectory = invert(
            self.denoiser,
            self.latents,
            unmodulated(one, checkpoint),
            prompt=spec.source,
            timesteps=scheduler_of(checkpoint, spec).timesteps,
            progress=report,
        )
        if self.use_cache:
            about = one.about | {"steps": str(spec.sampler.steps), "source": spec.source}
            about.pop("target")
            save_inversion(key, trajectory, about)
        self.last = key, trajectory
        return trajectory, False


def unmodulated(prepared: Prepared, checkpoint: Checkpoint) -> ClipControl:
    """Attention over the frames in scope, without a plan."""
    modulation = prepared.spec.modulation
    return clip_control(
        prepared.windows,
        lambda window: AttentionControl(
            len(window.frames),
            scope=modulation.frames,
            norm=norm_scope(modulation.norm, prepared.spec.model),
            device=checkpoint.device,
        ),
    )


def scheduler_of(checkpoint: Checkpoint, spec: EditSpec) -> Any:
    """The spec's solver on the checkpoint's schedule, its timesteps set."""
    scheduler = solver(checkpoint.scheduler, spec.sampler.method)
    scheduler.set_timesteps(spec.sampler.steps, device=checkpoint.device)
    return scheduler
