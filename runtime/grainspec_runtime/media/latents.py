"""A clip through the VAE and back, some frames at a time.

Of a long clip only 8-bit frames and latents are held in full: frames as the VAE takes them are four
times as large.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from grainspec_runtime.backbones.load import VAE_BATCH, Checkpoint
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.media.tensors import refuse_nan, to_frames, to_tensor

_FRAMES = 16 * VAE_BATCH
"""Frames that are held in full precision; a VAE that is offloaded comes once for all of them."""


def encode_clip(checkpoint: Checkpoint, frames: Frames) -> Tensor:
    """Latents ``[F, c, h, w]`` of frames, uint8 ``[F, H, W, 3]``.

    Raises GrainError (G505) if some are no numbers.
    """
    starts = range(0, len(frames), _FRAMES)
    parts = [checkpoint.encode_frames(to_tensor(frames[at : at + _FRAMES])) for at in starts]
    latents = torch.cat(parts)
    refuse_nan(latents)
    return latents


def decode_clip(checkpoint: Checkpoint, latents_Fchw: Tensor) -> Frames:
    """Frames, uint8 ``[F, H, W, 3]``, of latents; raises GrainError (G505) as :func:`to_frames`."""
    parts = latents_Fchw.to(checkpoint.dtype).split(_FRAMES)
    return np.concatenate([to_frames(checkpoint.decode_latents(part)) for part in parts])
