"""Frames as the VAE takes them, and back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from grainspec.diagnostics import fail
from grainspec_runtime.media.decode import Frames


def to_tensor(frames: Frames) -> Tensor:
    """uint8 ``[F, H, W, 3]`` to float32 ``[F, 3, H, W]`` in [-1, 1]."""
    return torch.from_numpy(frames.copy()).permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1


def to_frames(tensor: Tensor) -> Frames:
    """The inverse of :func:`to_tensor`, rounding to the nearest level.

    Raises GrainError (G505) if some values are no numbers.
    """
    refuse_nan(tensor)
    levels = ((tensor.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy())


def refuse_nan(of_vae: Tensor) -> None:
    """Raise GrainError (G505) if the VAE gave NaN or infinity."""
    if not bool(of_vae.isfinite().all()):
        message = "the VAE gave values that are no numbers"
        raise fail("G505", message, "Run in float32 with `--dtype float32`.")
