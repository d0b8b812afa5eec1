"""Convert frames to the VAE's input tensors and back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from grainspec.diagnostics import fail
from grainspec_runtime.media.decode import Frames


def to_tensor(frames: Frames, device: torch.device | str = "cpu") -> Tensor:
    """Convert uint8 ``[F, H, W, 3]`` to float32 ``[F, 3, H, W]`` in [-1, 1], on a device.

    The result is the same on every device.
    """
    levels = torch.from_numpy(frames.copy()).to(device).permute(0, 3, 1, 2).contiguous()
    half = torch.tensor(127.5, device=device)  # CUDA multiplies by 1 / x for a number x of Python
    return levels.float() / half - 1


def to_frames(tensor: Tensor) -> Frames:
    """Convert ``[F, 3, H, W]`` in [-1, 1] to uint8 frames, rounded; the inverse of ``to_tensor``.

    Raises GrainError (G505) for NaN or infinity.
    """
    refuse_nan(tensor)
    levels = ((tensor.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy())


def refuse_nan(vae_output: Tensor) -> None:
    """Raise GrainError (G505) if the VAE produced NaN or infinity."""
    if not bool(vae_output.isfinite().all()):
        message = "the VAE produced NaN or infinity"
        raise fail("G505", message, "Run in float32: `--dtype float32`.")
