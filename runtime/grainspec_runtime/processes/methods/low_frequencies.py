"""Noise whose low spatial frequencies are those of an inversion.

DMT (arXiv 2311.17009) begins sampling from them: the layout comes from the source, and all detail
from new noise. With ↓↑ for resizing to 1 / factor and back (bilinear, antialiased):

    x_T = ↓↑(inverted) + noise − ↓↑(noise)

Dimensions: F frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def low_frequencies_kept(inverted_Fchw: Tensor, factor: int, seed: int) -> Tensor:
    """Return noise with the low frequencies of inverted latents, ``[F, c, h, w]``.

    Noise is drawn from ``seed`` on the CPU. A ``factor`` of 1 keeps all frequencies.
    """
    if factor == 1:
        return inverted_Fchw
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(inverted_Fchw.shape, generator=generator).to(inverted_Fchw)
    return _low(inverted_Fchw, factor) + (noise - _low(noise, factor))


def _low(x_Fchw: Tensor, factor: int) -> Tensor:
    size = x_Fchw.shape[-2:]
    small = [max(side // factor, 1) for side in size]
    for to in (small, list(size)):
        x_Fchw = F.interpolate(x_Fchw, to, mode="bilinear", align_corners=True, antialias=True)
    return x_Fchw
