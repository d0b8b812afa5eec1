"""How well a VAE reconstructs clips that are held out from training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from grainspec_runtime.demo.video_training.footage import Footage

RoundTrip = Callable[[Tensor], Tensor]
"""Encodes and decodes clips ``[B, 3, T, H, W]`` in [-1, 1]."""


@torch.no_grad()
def reconstruction(round_trip: RoundTrip, held: Footage, count: int) -> dict[str, float]:
    """PSNR in dB of the first ``count`` held-out clips, averaged over frames.

    ``first`` is of the clips' first frames, ``later`` of all others, ``figures`` of the pixels of
    figures in all frames, ``worst`` of the frame position that is worst on average.
    """
    rows, errors, within = torch.arange(min(count, len(held))), list[Tensor](), list[Tensor]()
    for part in rows.split(8):
        clips, figures = held.clips(part.to(held.device))
        squared = ((round_trip(clips).float().clamp(-1, 1) - clips) / 2).square()
        errors.append(squared.mean((1, 3, 4)))
        shares = figures.mean((1, 2, 3, 4))
        chosen = shares > 0
        within.append((squared * figures).mean((1, 2, 3, 4))[chosen] / shares[chosen])
    decibels_BT = _decibels(torch.cat(errors))
    by_frame = decibels_BT.mean(0)
    later = by_frame[1:] if len(by_frame) > 1 else by_frame
    return {
        "first": float(by_frame[0]),
        "later": float(later.mean()),
        "worst": float(by_frame.min()),
        "figures": float(_decibels(torch.cat(within)).mean()),
    }


def _decibels(error: Tensor) -> Tensor:
    return -10 * torch.log10(error.clamp_min(1e-10))
