"""Wan's VAE on a whole clip in one pass, for training: the same function, with the stock weights.

``AutoencoderKLWan`` encodes and decodes a clip a few frames at a time and keeps the last two frames
before each convolution. That needs little memory, but on short clips of small frames a GPU mostly
waits for the next of its many small kernels. All convolutions in time are causal, so one pass over
all frames gives the same result:

- A convolution pads two frames of zeros in front, which is what an empty cache stands for.
- ``downsample3d`` keeps the first frame, and its convolution, with a stride of 2 and no padding,
  goes over all frames from the first on.
- ``upsample3d`` keeps the first frame, and its convolution goes over the frames after it.

Within :func:`whole_clips`, the network's convolutions and resamplings do this; the rest of its
modules runs as it is.

Dimensions: B clips, T frames, O output channels. Tensors are ``[B, C, T, H, W]``; their memory is
best ordered as ``[B, T, H, W, C]`` (``torch.channels_last_3d``), where no step copies them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, WanResample
from torch import Tensor

Convolution = Literal["taps", "conv3d"]
"""How convolutions over frames are computed.

``taps`` is one 2D convolution with the kernels of all frames side by side, and a sum of its outputs
shifted in time. ``conv3d`` is torch's 3D convolution, whose kernels for bfloat16 and few channels
are slow in some versions of cuDNN.
"""


@contextmanager
def whole_clips(vae: AutoencoderKLWan, convolution: Convolution = "taps") -> Iterator[None]:
    """Let the VAE's encoder and decoder take whole clips; its own methods do not work meanwhile."""
    changed = []
    for module in vae.modules():
        if isinstance(module, WanResample):
            module.forward = partial(_resample, module)
        elif isinstance(module, WanCausalConv3d) and convolution == "taps":
            module.forward = partial(_convolve, module)
        else:
            continue
        changed.append(module)
    try:
        yield
    finally:
        for module in changed:
            del module.forward


def encode(vae: AutoencoderKLWan, clips_BCTHW: Tensor) -> tuple[Tensor, Tensor]:
    """Encode clips of ``1 + n * scale_factor_temporal`` frames: the posterior's mean and logvar.

    Both are ``[B, z, t, h, w]``, as ``vae.encode`` computes them. For use in :func:`whole_clips`.
    """
    moments = vae.quant_conv(vae.encoder(clips_BCTHW))
    mean, logvar = moments.chunk(2, dim=1)
    return mean, logvar.clamp(-30, 20)  # as diffusers' DiagonalGaussianDistribution


def decode(vae: AutoencoderKLWan, latents_BzThw: Tensor) -> Tensor:
    """Decode latents to clips ``[B, 3, T, H, W]``: those of ``vae.decode`` before it clamps them.

    For use in :func:`whole_clips`.
    """
    clips: Tensor = vae.decoder(vae.post_quant_conv(latents_BzThw), first_chunk=True)
    return clips


def _convolve(conv: WanCausalConv3d, x_BCTHW: Tensor, cache_x: None = None) -> Tensor:
    """The causal convolution, as ``taps``."""
    _, _, _, _, front, _ = conv._padding
    kernel, stride = conv.kernel_size[0], conv.stride[0]
    size = x_BCTHW.shape[0], x_BCTHW.shape[2]
    frames = x_BCTHW.transpose(1, 2).flatten(0, 1)
    weight_OCKhw, padding = conv.weight, (conv._padding[2], conv._padding[0])
    if size[1] == 1 and front:  # of a single frame, all other taps see zeros
        last = weight_OCKhw[:, :, -1]
        alone = F.conv2d(frames, last, conv.bias, conv.stride[1:], padding)
        return _frames_second(alone.unflatten(0, size))
    weight = weight_OCKhw.permute(2, 0, 1, 3, 4).flatten(0, 1)
    taps = F.conv2d(frames, weight, None, conv.stride[1:], padding)
    taps_BTKOhw = taps.unflatten(1, (kernel, -1)).unflatten(0, size)
    count = (size[1] + front - kernel) // stride + 1
    y = conv.bias.view(1, 1, -1, 1, 1)
    for tap in range(kernel):
        first = tap - front  # the frame that this tap sees first; negative ones are zeros
        zeros = max(0, -(first // stride))
        seen = taps_BTKOhw[:, first + zeros * stride :: stride, tap][:, : count - zeros]
        y = y + F.pad(seen, (0, 0, 0, 0, 0, 0, zeros, 0))
    return _frames_second(y.to(taps.dtype))


def _frames_second(x_BTCHW: Tensor) -> Tensor:
    return x_BTCHW.transpose(1, 2)


def _resample(
    resample: WanResample, x_BCTHW: Tensor, feat_cache: None = None, feat_idx: Any = None
) -> Tensor:
    """Scale frames as ``WanResample`` does, in time as well, over the whole clip."""
    one_by_one: Callable[[Tensor], Tensor] = partial(WanResample.forward, resample)
    first, rest = x_BCTHW[:, :, :1], x_BCTHW[:, :, 1:]
    if resample.mode == "upsample3d" and rest.shape[2]:
        doubled = resample.time_conv(rest).unflatten(1, (2, -1))  # [B, 2, C, T, H, W]
        rest = doubled.permute(0, 2, 3, 1, 4, 5).flatten(2, 3)
        return one_by_one(torch.cat([first, rest], 2))
    x = one_by_one(x_BCTHW)
    if resample.mode == "downsample3d" and rest.shape[2]:
        return torch.cat([x[:, :, :1], resample.time_conv(x)], 2)
    return x
