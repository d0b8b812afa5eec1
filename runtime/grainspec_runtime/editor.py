"""The editor: load a backbone once, run specs on it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from grainspec.diagnostics import Diagnostic, fail
from grainspec.spec import EditSpec
from grainspec_runtime.backbones.load import Checkpoint, load_checkpoint
from grainspec_runtime.backbones.locate import DEMO
from grainspec_runtime.backbones.unet import AttentionControl
from grainspec_runtime.demo.checks import strange_clip
from grainspec_runtime.media.decode import Frames, decode_frames
from grainspec_runtime.prepare import Prepared, prepare
from grainspec_runtime.sampling.cache import inversion_key, load_inversion, save_inversion
from grainspec_runtime.sampling.invert import invert
from grainspec_runtime.sampling.sample import sample

Progress = Callable[[str, int, int], None]
"""Called with the name of a stage, its finished steps and all its steps."""

_INVERSION_VERSION = 2
"""Raised whenever :func:`invert` changes its results, so that old cache entries are not found."""


@dataclass(frozen=True)
class EditResult:
    """An edited clip.

    source, edited: uint8 ``[F, H, W, 3]`` RGB, the clip as the model saw it and after the edit.
    seconds: wall time by stage. warnings: everything doubtful, found before and during the run.
    """

    prepared: Prepared
    source: Frames
    edited: Frames
    fps: float
    seconds: dict[str, float]
    inversion_cached: bool
    warnings: tuple[Diagnostic, ...]
    device: str
    dtype: str
    model_folder: str


@dataclass
class Editor:
    """Runs specs on one model.

    ``model`` is as in a spec: ``demo``, a folder in diffusers' format, or a hub id. It is loaded
    when the first spec has passed all its checks. ``device`` and ``dtype`` default to the best of
    the machine; ``backend`` is that of :func:`grainspec_runtime.modulated_attention`.

        editor = Editor()
        result = editor.run(grainspec.load("examples/instance.grain"), base=Path("examples"))
        result.edited.shape      # (8, 96, 96, 3)
    """

    model: str = DEMO
    device: str | None = None
    dtype: torch.dtype | None = None
    backend: str = "auto"
    use_cache: bool = True
    _checkpoint: Checkpoint | None = field(default=None, repr=False)
    _place: str = field(default="", repr=False)

    def run(
        self,
        spec: EditSpec,
        *,
        base: Path | None = None,
        progress: Progress = lambda stage, done, total: None,
    ) -> EditResult:
        """Edit a spec's clip. Relative paths in the spec start at ``base`` (here by default).

        Raises GrainError for whatever is wrong with the spec, its files or the model, all of it
        before the model is loaded where that is possible.
        """
        if spec.model != self.model:
            message = f"the spec is for the model {spec.model}, this editor runs {self.model}"
            raise fail("G404", message, f"Use `Editor({spec.model!r})`.", spec.span_of("model"))
        return self.run_prepared(prepare(spec, base or Path()), progress=progress)

    def checkpoint(self, base: Path) -> Checkpoint:
        """The model, loaded on first use; a relative folder starts at ``base``."""
        folder = base / self.model
        place = str(folder.resolve()) if folder.is_dir() else self.model
        if self._checkpoint is None or self._place != place:
            self._place = place
            self._checkpoint = load_checkpoint(
                self.model, base, device=self.device, dtype=self.dtype
            )
        return self._checkpoint

    def run_prepared(
        self, prepared: Prepared, *, progress: Progress = lambda stage, done, total: None
    ) -> EditResult:
        """Edit a clip whose spec has been checked and compiled already."""
        spec, plan, bound = prepared.spec, prepared.plan, prepared.bound
        seconds: dict[str, float] = {}
        warnings = list(prepared.warnings)

        @contextmanager
        def stage(name: str) -> Iterator[Callable[[int, int], None]]:
            start = time.perf_counter()
            progress(name, 0, 1)
            yield lambda done, total: progress(name, done, total)
            progress(name, 1, 1)
            seconds[name] = round(time.perf_counter() - start, 3)

        with stage("load model"):
            checkpoint = self.checkpoint(prepared.base)
        with stage("read clip"):
            frames = decode_frames(prepared.base / spec.video.path, plan.frames, bound.window)
            latents = checkpoint.encode_frames(_to_tensor(frames))
            if spec.model == DEMO:
                back = _to_frames(checkpoint.decode_latents(latents))
                warnings += strange_clip(frames, back, spec.video.span_of("path"))
        with stage("invert") as report:
            trajectory, cached = self._inversion(checkpoint, latents, prepared, report)
        with stage("sample") as report:
            control = AttentionControl(
                len(plan.frames),
                plan=plan,
                scope=plan.attention.frames,
                backend=self.backend,
                device=checkpoint.device,
            )
            edited = sample(
                checkpoint,
                trajectory,
                plan,
                control,
                negative=spec.negative,
                steps=spec.sampler.steps,
                guidance=spec.sampler.guidance,
                progress=report,
            )
        with stage("decode"):
            pictures = _to_frames(checkpoint.decode_latents(edited.to(checkpoint.dtype)))
        return EditResult(
            prepared=prepared,
            source=frames,
            edited=pictures,
            fps=bound.facts.fps / spec.video.step,
            seconds=seconds,
            inversion_cached=cached,
            warnings=tuple(warnings),
            device=str(checkpoint.device),
            dtype=str(checkpoint.dtype).removeprefix("torch."),
            model_folder=str(checkpoint.folder.resolve()),
        )

    def _inversion(
        self,
        checkpoint: Checkpoint,
        latents: Tensor,
        prepared: Prepared,
        report: Callable[[int, int], None],
    ) -> tuple[Tensor, bool]:
        """The clip's way to noise, from the cache if it was found before."""
        spec = prepared.spec
        facts = {
            "version": _INVERSION_VERSION,
            "model": _fingerprint(checkpoint),
            "source": spec.source,
            "steps": spec.sampler.steps,
            "scope": spec.attention.frames,
            "dtype": str(checkpoint.dtype),
        }
        key = inversion_key(latents, facts)
        if self.use_cache:
            found = load_inversion(key, checkpoint.device)
            if found is not None and found.shape[1:] == latents.shape:
                return found, True
        control = AttentionControl(
            len(latents), scope=spec.attention.frames, device=checkpoint.device
        )
        trajectory = invert(
            checkpoint,
            latents,
            control,
            prompt=spec.source,
            steps=spec.sampler.steps,
            progress=report,
        )
        if self.use_cache:
            save_inversion(key, trajectory)
        return trajectory, False


def _fingerprint(checkpoint: Checkpoint) -> list[object]:
    """What tells one checkpoint from another.

    Small files, such as configurations, by their content; weights by place, size and date, since
    reading gigabytes to find out that nothing changed would take as long as the inversion.
    """
    folder = checkpoint.folder.resolve()
    found: list[object] = []
    for file in sorted(path for path in folder.glob("*/*") if path.is_file()):
        name, facts = file.relative_to(folder).as_posix(), file.stat()
        if facts.st_size <= _SMALL:
            found.append([name, hashlib.sha256(file.read_bytes()).hexdigest()])
        else:
            found.append([name, str(folder), facts.st_size, facts.st_mtime_ns])
    return found


_SMALL = 1 << 22
"""Bytes up to which a model's file is told by its content."""


def _to_tensor(frames: Frames) -> Tensor:
    """uint8 ``[F, H, W, 3]`` to float32 ``[F, 3, H, W]`` in [-1, 1]."""
    return torch.from_numpy(frames.copy()).permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1


def _to_frames(tensor: Tensor) -> Frames:
    """The inverse of :func:`_to_tensor`, rounding to the nearest level."""
    if not bool(tensor.isfinite().all()):
        message = "the VAE gave values that are no numbers"
        raise fail("G505", message, "Run in float32 with `--dtype float32`.")
    levels = ((tensor.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy())
