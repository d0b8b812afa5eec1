"""TokenFlow's fields: key frames, nearest tokens between frames, and tokens moved along them.

Dimensions: F frames, K key frames, B frames of a batch, P passes, N tokens of a frame, C channels,
H heads, d head size.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Falloff = Literal["sigmoid", "linear"]

_SIMILARITIES = 2**24
"""Similarities that are held at once, 64 MB: those of 64 x 64 tokens with as many."""


def draw_key_frames(frames: int, interval: int, *, seed: int, step: int) -> list[int]:
    """Draw one key frame from each ``interval`` consecutive frames, anew at every step.

    The draw depends on ``seed`` and ``step`` alone, so a resumed run has the same key frames.

    >>> draw_key_frames(10, 4, seed=0, step=0), draw_key_frames(3, 1, seed=0, step=0)
    ([3, 6, 9], [0, 1, 2])
    """
    draw = np.random.default_rng([seed, step])
    starts = range(0, frames, interval)
    return [start + int(draw.integers(min(interval, frames - start))) for start in starts]


class Neighbours(NamedTuple):
    """The key frames around a frame, as places in the list of key frames, and the later's weight.

    They are the same if the frame is a key frame, or lies before the first or after the last one.
    """

    before: int
    after: int
    weight: float


def neighbours_of(frame: int, keys: Sequence[int], falloff: Falloff = "sigmoid") -> Neighbours:
    """Return the key frames before and after a frame, and the weight of the later one.

    With the distances d− and d+ to them, the weight is σ(d− / (d− + d+)) as in the paper, or
    d− / (d− + d+) with ``linear``. σ maps it to 0.5 … 0.73: the later one weighs the most.

    >>> neighbours_of(3, [0, 4], "linear"), neighbours_of(9, [0, 4])
    (Neighbours(before=0, after=1, weight=0.75), Neighbours(before=1, after=1, weight=1.0))
    """
    before = max(bisect_right(keys, frame) - 1, 0)
    after = min(bisect_left(keys, frame), len(keys) - 1)
    if before == after:
        return Neighbours(before, after, 1.0)
    share = (frame - keys[before]) / (keys[after] - keys[before])
    return Neighbours(before, after, share if falloff == "linear" else 1 / (1 + math.exp(-share)))


def nearest_tokens(tokens_NC: Tensor, others_MC: Tensor) -> Tensor:
    """Return the index of the other token with the largest cosine similarity, int64 ``[N]``.

    Of equal ones it is the first. Both are normalized already; see :func:`normalized`.
    """
    rows = max(1, _SIMILARITIES // len(others_MC))
    return torch.cat([(part @ others_MC.mT).argmax(-1) for part in tokens_NC.split(rows)])


def normalized(tokens: Tensor) -> Tensor:
    """Return tokens ``[…, C]`` of length 1, float32."""
    return F.normalize(tokens.float(), dim=-1)


class Field(NamedTuple):
    """Where each token of B frames comes from: int64 ``[B]`` and ``[B, N]``, weights ``[B]``.

    ``before_B`` and ``after_B`` are places in the list of key frames, ``from_before_BN`` and
    ``from_after_BN`` tokens of these frames, ``weight_B`` is the weight of the later frame.
    """

    before_B: Tensor
    after_B: Tensor
    weight_B: Tensor
    from_before_BN: Tensor
    from_after_BN: Tensor


def field_between(
    tokens_BNC: Tensor, key_tokens_KNC: Tensor, neighbours: Sequence[Neighbours]
) -> Field:
    """Match the tokens of frames with those of their neighbouring key frames (eq. 3 of the paper).

    The tokens are the source's, of any length.
    """
    frames, keys = normalized(tokens_BNC), normalized(key_tokens_KNC)
    before, after = [], []
    for tokens_NC, (earlier, later, _) in zip(frames, neighbours, strict=True):
        before.append(nearest_tokens(tokens_NC, keys[earlier]))
        same = earlier == later
        after.append(before[-1] if same else nearest_tokens(tokens_NC, keys[later]))
    device = tokens_BNC.device
    places, others, weights = zip(*neighbours, strict=True)
    return Field(
        torch.tensor(places, device=device),
        torch.tensor(others, device=device),
        torch.tensor(weights, device=device),
        torch.stack(before),
        torch.stack(after),
    )


def propagated(edited_PKHNd: Tensor, field: Field) -> Tensor:
    """Move the key frames' edited tokens to other frames along a field: ``[P, B, H, N, d]``.

    Each token is w · (that of the later key frame) + (1 − w) · (that of the earlier), eq. 4.
    """

    def moved(frames_B: Tensor, tokens_BN: Tensor) -> Tensor:
        picked = edited_PKHNd[:, frames_B]
        where = tokens_BN[None, :, None, :, None].expand_as(picked)
        return picked.gather(3, where)

    weight = field.weight_B.to(edited_PKHNd).view(1, -1, 1, 1, 1)
    earlier = moved(field.before_B, field.from_before_BN)
    return torch.lerp(earlier, moved(field.after_B, field.from_after_BN), weight)
