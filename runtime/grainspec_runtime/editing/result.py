"""The result of an edit."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from grainspec.diagnostics import Diagnostic
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.media.sound import Sound
from grainspec_runtime.media.times import FrameTimes
from grainspec_runtime.modulation.part import Division
from grainspec_runtime.prepare import Prepared
from grainspec_runtime.ranks import WindowDivision
from grainspec_runtime.study.record import Study


@dataclass(frozen=True)
class Reconstruction:
    """A clip as its process reconstructs it, with the source prompt and without an edit.

    psnr: against the source, in dB. vae_psnr: that of the VAE's round trip alone, an upper bound.
    """

    frames: Frames
    psnr: float
    vae_psnr: float


@dataclass(frozen=True)
class EditResult:
    """An edited clip.

    source, edited: the clip as the model received it, and the edit; uint8 ``[F, H, W, 3]``, RGB.
    controls: the control images, of the same shape, in the spec's order.
    seconds: wall time of each stage. warnings: all warnings, from before and during the run.
    options: how the model was loaded, where it differs from the default.
    run_key: a hash of everything that the result depends on.
    resumed_at: number of sampling steps taken over from an interrupted run.
    was_finished: the interrupted run had finished this edit and written its folder.
    study: the recorded attention, if it was requested.
    peak_memory_bytes: of the process that made the edit, until then; None if it is unknown.
    division: how processes shared the clip; None if there was one process.
    times: when each frame is shown. sound: the source's sound for these frames, if it can be kept.
    """

    prepared: Prepared
    source: Frames
    edited: Frames
    times: FrameTimes
    seconds: dict[str, float]
    inversion_cached: bool
    warnings: tuple[Diagnostic, ...]
    device: str
    dtype: str
    model_folder: str
    run_key: str
    options: dict[str, object]
    controls: tuple[Frames, ...] = ()
    reconstruction: Reconstruction | None = None
    resumed_at: int = 0
    was_finished: bool = False
    peak_memory_bytes: int | None = None
    study: Study | None = None
    sound: Sound | None = None
    division: Division | WindowDivision | None = None

    @property
    def fps(self) -> float:
        """Frames per second of the edited clip; the mean if they vary."""
        return self.times.fps

    def _repr_html_(self) -> str:
        # by name: avoids a circular import
        return str(import_module("grainspec_runtime.notebook").result_html(self))
