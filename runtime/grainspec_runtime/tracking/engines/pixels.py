"""From source pixels to what the networks see, and back; exact to a fraction of a pixel.

A source frame of W × H pixels is stretched to a square of S × S. Continuous coordinates have the
centre of the first pixel at 0.5, in both, so ``x`` becomes ``x · S / W``.

Dimensions: K objects, H rows and W columns of pixels, S side of the square, N points.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from grainspec_runtime.tracking.engine import Frame, TrackedFrame

_CERTAIN = 100.0
"""The logit of a pixel of a mask that the user gave."""


def network_pixels(
    frame: Frame, size: tuple[int, int], mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """Resize a frame, uint8 ``[H, W, 3]``, to ``size`` (height, width): float32 ``[3, h, w]``.

    Bilinear with antialiasing, as transformers' processors for these networks do, which need
    torchvision for it.
    """
    pixels_13HW = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float() / 255
    resized_3hw = torch.nn.functional.interpolate(
        pixels_13HW, size=size, mode="bilinear", align_corners=False, antialias=True
    )[0]
    return (resized_3hw - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def prompt_points(
    points_N2: npt.NDArray[np.float32], size: tuple[int, int], side: int
) -> list[list[float]]:
    """Points in source pixels as transformers' video processors take them.

    They scale a point by S / W, and the network adds 0.5, for points that count pixels of the
    square from 0. So half a pixel of the square is taken off, which is W / 2S source pixels.
    """
    half = np.array([size[0], size[1]]) / (2 * side)
    return [[float(x), float(y)] for x, y in points_N2 - half]


def prompt_box(
    box: tuple[float, float, float, float], size: tuple[int, int], side: int
) -> list[float]:
    """A box in source pixels as transformers' video processors take it.

    The networks were trained with the centres of the box's outermost pixels in the square: after
    0.5 is added there, the left edge ``l`` is at ``l · S / W + 0.5`` and the right one, ``r``, at
    ``r · S / W - 0.5``.
    """
    left, top, right, bottom = box
    x, y = size[0] / side, size[1] / side
    return [left, top, max(left, right - x), max(top, bottom - y)]


def upscaled(logits_hw: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize the logits of one mask, of the whole frame, to its ``size`` (width, height)."""
    width, height = size
    return torch.nn.functional.interpolate(
        logits_hw[None, None].float(), (height, width), mode="bilinear", align_corners=False
    )[0, 0]


def certain(mask_HW: npt.NDArray[np.bool_]) -> Tensor:
    """Logits of a mask that the user gave, ``[H, W]``."""
    return (torch.from_numpy(mask_HW.astype(np.float32)) * 2 - 1) * _CERTAIN


def tracked_frame(index: int, logits_KHW: Tensor, confidence_K: Sequence[float]) -> TrackedFrame:
    """Decide between the objects on a frame.

    Each pixel is of the object with the largest logit, or of none if all are below 0. The coverage
    is the softmax over the objects and the background, whose logit is 0; for a single object this
    is the sigmoid.

    >>> frame = tracked_frame(0, torch.tensor([[[2.0, -1.0]], [[3.0, -2.0]]]), [1.0, 1.0])
    >>> frame.labels_HW.tolist(), frame.soft_KHW.tolist()
    ([[2, 0]], [[[66, 62]], [[180, 23]]])
    """
    best_HW, winner_HW = logits_KHW.max(dim=0)
    labels_HW = torch.where(best_HW > 0, winner_HW + 1, 0)
    with_background = torch.cat([torch.zeros_like(logits_KHW[:1]), logits_KHW])
    soft_KHW = (with_background.softmax(dim=0)[1:] * 255).round()
    return TrackedFrame(
        index,
        labels_HW.to(torch.uint8).cpu().numpy(),
        np.asarray(confidence_K, np.float32),
        soft_KHW.to(torch.uint8).cpu().numpy(),
    )
