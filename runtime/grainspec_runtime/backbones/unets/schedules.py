"""Where a checkpoint's noise schedule is written. Free of torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grainspec_runtime.backbones.unets.single_file import told_by
from grainspec_runtime.models.folder import ModelFolder

_ANIMATEDIFF = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "linear",
    "trained_betas": None,
    "steps_offset": 1,
    "set_alpha_to_one": True,
}
"""The schedule that AnimateDiff's adapters were trained and published with. Its noise levels are
not those of the image model, whose ``beta_schedule`` is ``scaled_linear``; an adapter's
configuration does not say so."""


def schedule_of(model: ModelFolder) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a ``scheduler_config.json``, and the settings that replace its own.

    Those are what a checkpoint in one file says itself. With a motion adapter the noise is that of
    the adapter's training: what lies in its folder, or else AnimateDiff's.
    """
    motion = model.motion
    if motion is not None and motion.schedule is not None:
        return motion.folder, {}
    added = {} if motion is None else _ANIMATEDIFF
    return model.folder / "scheduler", {**told_by(model), **added}
