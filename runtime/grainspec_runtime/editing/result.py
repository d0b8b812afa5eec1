"""What an edit gives back."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from grainspec.diagnostics import Diagnostic
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.prepare import Prepared
from grainspec_runtime.study.record import Study


@dataclass(frozen=True)
class Reconstruction:
    """A clip sampled back from its own noise, with its own prompt and without any edit.

    psnr: dB against the source; vae_psnr: the same of the VAE alone, an upper bound.
    """

    frames: Frames
    psnr: float
    vae_psnr: float


@dataclass(frozen=True)
class EditResult:
    """An edited clip.

    source, edited: uint8 ``[F, H, W, 3]`` RGB, the clip as the model saw it and after the edit.
    controls: the control pictures, of the same shape, in the spec's order. seconds: wall time by
    stage. warnings: everything doubtful, found before and during the run.
    run_key: a hash of all that the result depends on. resumed_at: the sampling steps that an
    earlier, interrupted run had done. was_finished: that run had written its folder, too. study:
    what was recorded of attention, if that was asked for.
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
    run_key: str
    options: dict[str, object]
    """How the model was loaded, where that is not by default."""
    controls: tuple[Frames, ...] = ()
    reconstruction: Reconstruction | None = None
    resumed_at: int = 0
    was_finished: bool = False
    study: Study | None = None

    def _repr_html_(self) -> str:
        # by name: no circle of imports
        return str(import_module("grainspec_runtime.notebook").result_html(self))
