"""The operator on Hopper GPUs: what :mod:`grainspec_runtime.attention.fused` launches there."""

from __future__ import annotations

import math
from functools import cache

import torch
import triton
from torch import Tensor
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

from grainspec_runtime.attention.class_order import BLOCK, TILE, ClassOrder
from grainspec_runtime.attention.hopper_kernel import modulated_kernel, sort_kernel

WIDEST = 160
"""The largest head size: with larger ones two tiles of keys and values do not fit."""

DTYPES = {torch.float16: gl.float16, torch.bfloat16: gl.bfloat16}


@cache
def pieces(width: int) -> tuple[int, int]:
    """A head size as a sum of at most two powers of two, the smaller 0 or at least 16.

    >>> [pieces(width) for width in (8, 40, 64, 80, 96, 112, 128, 160)]
    [(16, 0), (32, 16), (64, 0), (64, 16), (64, 32), (128, 0), (128, 0), (128, 32)]
    """
    width = -(-width // 16) * 16
    large = 1 << (width.bit_length() - 1)
    small = width - large and max(16, 1 << (width - large - 1).bit_length())
    return (2 * large, 0) if small == large else (large, small)


def hopper(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    order: ClassOrder,
    attract: Tensor,
    repel: Tensor,
    scale: float,
) -> Tensor:
    """See :func:`grainspec_runtime.attention.fused.fused`, which has made rows begin at multiples
    of eight elements and the scale positive."""
    batch, heads, _, width = query.shape
    keys = key.shape[2]
    large, small = pieces(width)
    ones = large + small > width  # room for a column of ones, whose sums are the softmax's
    value_width = large + small if ones else width
    sorted_key = key.new_empty(batch * heads * keys, width)
    sorted_value = key.new_empty(batch * heads * keys, value_width)
    order_stride = order.sorted_BM.stride(0) if len(order.sorted_BM) > 1 else 0
    sort_kernel[triton.cdiv(keys, 64), heads, batch](
        key, value, sorted_key, sorted_value, order.sorted_BM, keys,
        *(stride // 8 for t in (key, value) for stride in t.stride()[:3]), order_stride,
        WIDTH=width, V_WIDTH=value_width, D=triton.next_power_of_2(value_width), BLOCK=64,
    )  # fmt: skip
    tile = TILE if width <= 128 else TILE // 2
    descriptors = (
        _described(tensor, tile, piece)
        for tensor in (sorted_key, sorted_value)
        for piece in (large, small)
    )
    out = torch.empty_like(query)
    index = (order.queries_BS, order.classes_BN, order.tiles_BCT, order.counts_BC4)
    modulated_kernel[order.queries_BS.shape[1] // BLOCK, heads, batch](
        query, *descriptors, out, *index, attract, repel, scale * math.log2(math.e),
        keys, order.tiles_BCT.shape[2],
        *(stride // 8 for t in (query, out) for stride in t.stride()[:3]),
        *(t.stride(0) if len(t) > 1 else 0 for t in (*index, attract, repel)),
        WIDTH=width, K2=small, V2=small, STAGES=2, PARK=width > 64, OVERLAP=width > 64, ONES=ones,
        num_warps=4,
    )  # fmt: skip
    return out


def _described(tensor: Tensor, rows: int, columns: int) -> TensorDescriptor | None:
    if not columns:
        return None
    layout = gl.NVMMASharedLayout.get_default_for([rows, columns], DTYPES[tensor.dtype])
    return TensorDescriptor.from_tensor(tensor, [rows, columns], layout)
