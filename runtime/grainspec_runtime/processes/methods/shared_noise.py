"""Smoothing of inverted noise along time: what does not move shares its noise.

Ground-A-Video (arXiv 2310.01107, "optical flow guided inverted latents smoothing"). With the flow
v_n from frame n − 1 to frame n of the source clip, its magnitude as a share of the pair's largest,
resized to the latents, says what moves:

    m_n = |v_n| / max |v_n|
    M_n = 1 where m_n ≥ threshold, else 0
    z'_0 = z_0
    z'_n = z'_{n−1} + M_n (z_n − z'_{n−1})

So a place keeps its noise from frame to frame as long as it is still. The paper's code compares
with > and 0.2; with ≥ a threshold of 0 changes nothing.

Dimensions: F frames, P = F − 1 pairs of consecutive frames, c channels, h rows and w columns of
latents, H rows and W columns of pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from grainspec_runtime.flow.clip_flow import ClipFlow


def magnitudes(motion: ClipFlow, size: tuple[int, int]) -> Tensor:
    """Return how far each place moves, as a share of its pair's largest: float32 ``[P, h, w]``.

    ``size`` is ``(h, w)``; the flow's magnitude is resized bilinearly. Where nothing moves at all,
    the share is 0.
    """
    lengths_PHW = torch.from_numpy(motion.forward_PHW2).float().norm(dim=-1)
    if not len(lengths_PHW):
        return torch.zeros(0, *size)
    largest_P11 = lengths_PHW.amax((1, 2), keepdim=True)
    shares_PHW = lengths_PHW / (largest_P11 + torch.finfo(torch.float32).eps)
    return F.interpolate(shares_PHW[:, None], size=size, mode="bilinear")[:, 0]


def shared_noise(noise_Fchw: Tensor, magnitudes_Phw: Tensor, threshold: float) -> Tensor:
    """Return the noise ``[F, c, h, w]``, where still places have that of the frame before.

    A place that moves keeps its own noise, bit for bit.

    >>> noise = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1)
    >>> moved = torch.tensor([0.1, 0.9]).view(2, 1, 1)
    >>> shared_noise(noise, moved, 0.2).flatten().tolist()
    [1.0, 1.0, 3.0]
    """
    moving_Phw = (magnitudes_Phw >= threshold).to(noise_Fchw.device)
    frames = [noise_Fchw[0]]
    for own, moves in zip(noise_Fchw[1:], moving_Phw, strict=True):
        frames.append(torch.where(moves, own, frames[-1]))
    return torch.stack(frames)
