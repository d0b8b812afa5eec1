"""A clip's frames to latents and back, each process with some of them if windows are divided.

Models whose windows are divided have a VAE of images. It processes the same frames at once as in
one process, so the results are the same.

Dimensions: F frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from grainspec_runtime.backbones.family import Checkpoint
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.ranks import Ranks


def encoded(checkpoint: Checkpoint, frames: Frames, ranks: Ranks) -> Tensor:
    """Encode frames, uint8 ``[F, H, W, 3]``, to latents ``[F, c, h, w]``.

    Raises GrainError: G505 for NaN or infinity, G755 if another process has ended.
    """
    if not ranks.divides_windows:
        return checkpoint.encode_clip(frames)
    batch = checkpoint.memory.vae_batch
    parts = [frames[start : start + batch] for start in range(0, len(frames), batch)]
    own = [checkpoint.encode_clip(parts[index]) for index in ranks.own(len(parts))]
    like = own[0] if own else checkpoint.encode_clip(parts[0])  # its shape and dtype are needed
    shapes = [(len(part), *like.shape[1:]) for part in parts]
    return torch.cat([*ranks.gathered(own, shapes, like)])


def decoded(checkpoint: Checkpoint, latents_Fchw: Tensor, ranks: Ranks) -> Frames:
    """Decode latents to frames, uint8 ``[F, H, W, 3]``; raises as :func:`encoded` does."""
    if not ranks.divides_windows:
        return checkpoint.decode_clip(latents_Fchw)
    memory = checkpoint.memory
    sides = [side * memory.pixels_per_latent for side in latents_Fchw.shape[2:]]
    like = torch.empty(0, dtype=torch.uint8)
    frames: list[Tensor] = []
    for turn in latents_Fchw.split(memory.vae_batch * ranks.count):  # little is exchanged at once
        parts = turn.split(memory.vae_batch)
        own = [
            torch.from_numpy(checkpoint.decode_clip(parts[index]))
            for index in ranks.own(len(parts))
        ]
        frames += ranks.gathered(own, [(len(part), *sides, 3) for part in parts], like)
    return np.asarray(torch.cat(frames))
