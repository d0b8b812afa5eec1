"""The portable kernel of the backend ``triton``: one pass over the keys.

A program holds a block of queries of one class. It visits the keys of one sign, then those of the
other: for each sign an online softmax over ``(1 − λ) s``, with a running maximum of its own, while
the row's smallest raw score is kept across both. What the modulation adds to a sign's scores is one
number a row, so it only weighs one sign against the other, at the very end: equation (3) in
:mod:`grainspec_runtime.attention.operator`.

Only the sign being visited needs its accumulator, so the loop is that of plain flash attention with
one more minimum, and scores are never masked except in the last tile of a sign.

Dimensions: n queries of a tile, m keys of a tile, d the head size padded to a power of two.
"""

# Kernels are not annotated: their values are those of Triton's compiler, which mypy does not know.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from grainspec_runtime.attention.backends.kernel_inputs import batch_strides_of, strides_of
from grainspec_runtime.attention.call import AttentionCall
from grainspec_runtime.attention.tuning import Tile

# Beyond every score, but finite: a difference of two infinities is NaN.
HUGE = tl.constexpr(1e30)


@triton.jit
def _rows_of(base, index_m, stride, WIDTH: tl.constexpr, D: tl.constexpr):
    """Keys or values by index, ``[m, d]``."""
    columns_d = tl.arange(0, D)
    places = base + index_m[:, None] * stride + columns_d[None, :]
    if WIDTH < D:
        tile = tl.load(places, mask=columns_d[None, :] < WIDTH, other=0.0)
    else:
        tile = tl.load(places)
    return tile


@triton.jit
def _tile(
    q_nd, K, V, k_stride, v_stride, index_m, inside_m, factor_n,
    top_n, shift_n, low_n, mass_n, acc_nd,
    WIDTH: tl.constexpr, D: tl.constexpr, RAGGED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One tile of keys; returns the running state, ``shift`` being ``top · factor`` as rounded."""
    k_md = _rows_of(K, index_m, k_stride, WIDTH, D)
    s_nm = tl.dot(q_nd, k_md.T, input_precision=PRECISION)
    if RAGGED:
        new_top_n = tl.maximum(top_n, tl.max(tl.where(inside_m[None, :], s_nm, -HUGE), 1))
        low_n = tl.minimum(low_n, tl.min(tl.where(inside_m[None, :], s_nm, HUGE), 1))
    else:
        new_top_n = tl.maximum(top_n, tl.max(s_nm, 1))
        low_n = tl.minimum(low_n, tl.min(s_nm, 1))
    new_shift_n = new_top_n * factor_n
    decay_n = tl.exp2(shift_n - new_shift_n)
    p_nm = tl.exp2(tl.fma(s_nm, factor_n[:, None], -new_shift_n[:, None]))
    if RAGGED:
        p_nm = tl.where(inside_m[None, :], p_nm, 0.0)
    mass_n = mass_n * decay_n + tl.sum(p_nm, 1)
    v_md = _rows_of(V, index_m, v_stride, WIDTH, D)
    acc_nd = acc_nd * decay_n[:, None]
    acc_nd = tl.dot(p_nm.to(v_md.dtype), v_md, acc_nd, input_precision=PRECISION)
    return new_top_n, new_shift_n, low_n, mass_n, acc_nd


@triton.jit
def _visit(
    q_nd, K, V, k_stride, v_stride, KeyOrder, first, last, factor_n, low_n,
    WIDTH: tl.constexpr, D: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_M: tl.constexpr,
    PRECISION: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """All keys ``KeyOrder[first:last]``, which are of one sign."""
    top_n = tl.full([BLOCK_N], -HUGE, tl.float32)
    shift_n = top_n * factor_n
    mass_n = tl.zeros([BLOCK_N], tl.float32)
    acc_nd = tl.zeros([BLOCK_N, D], tl.float32)
    places_m = tl.arange(0, BLOCK_M)
    whole = first + (last - first) // BLOCK_M * BLOCK_M
    for start in tl.range(first, whole, BLOCK_M, num_stages=STAGES):
        index_m = tl.load(KeyOrder + start + places_m)
        top_n, shift_n, low_n, mass_n, acc_nd = _tile(
            q_nd, K, V, k_stride, v_stride, index_m, places_m, factor_n,
            top_n, shift_n, low_n, mass_n, acc_nd, WIDTH, D, False, PRECISION,
        )  # fmt: skip
    if whole < last:
        inside_m = whole + places_m < last
        index_m = tl.load(KeyOrder + whole + places_m, mask=inside_m, other=0)
        top_n, shift_n, low_n, mass_n, acc_nd = _tile(
            q_nd, K, V, k_stride, v_stride, index_m, inside_m, factor_n,
            top_n, shift_n, low_n, mass_n, acc_nd, WIDTH, D, True, PRECISION,
        )  # fmt: skip
    return top_n, shift_n, low_n, mass_n, acc_nd


@triton.jit
def modulated_kernel(
    Q, K, V, Out, Queries, Classes, KeyOrder, Positives, Attract, Repel, scale, keys,
    q_b, q_h, q_n, k_b, k_h, k_m, v_b, v_h, v_m, o_b, o_h, o_n,
    queries_b, classes_b, order_b, positives_b, attract_b, repel_b,
    WIDTH: tl.constexpr, D: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_M: tl.constexpr,
    PRECISION: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """One block of queries of one head; ``scale`` has log2(e) in it and is not negative.

    Strides of query, key, value and output are in units of eight elements.
    """
    head = tl.program_id(1).to(tl.int64)
    batch = tl.program_id(2).to(tl.int64)
    Queries += batch * queries_b + tl.program_id(0) * BLOCK_N
    leader = tl.load(Queries)
    if leader < 0:  # past the last query of its class
        return
    label = tl.load(Classes + batch * classes_b + leader).to(tl.int64)
    positives = tl.load(Positives + batch * positives_b + label)
    KeyOrder += batch * order_b + label * keys
    # With a constant in it the compiler sees that rows are aligned, and loads 16 bytes at a time.
    q_n, k_m, v_m, o_n = q_n * 8, k_m * 8, v_m * 8, o_n * 8
    Q += (batch * q_b + head * q_h) * 8
    K += (batch * k_b + head * k_h) * 8
    V += (batch * v_b + head * v_h) * 8
    Out += (batch * o_b + head * o_h) * 8

    query_n = tl.load(Queries + tl.arange(0, BLOCK_N))
    real_n = query_n >= 0
    query_n = tl.maximum(query_n, 0)
    attract_n = tl.load(Attract + batch * attract_b + query_n)
    repel_n = tl.load(Repel + batch * repel_b + query_n)
    q_nd = _rows_of(Q, query_n, q_n, WIDTH, D)

    low_n = tl.full([BLOCK_N], HUGE, tl.float32)
    up_factor_n = (1 - attract_n) * scale
    up_top_n, up_shift_n, low_n, up_mass_n, up_nd = _visit(
        q_nd, K, V, k_m, v_m, KeyOrder, 0, positives, up_factor_n, low_n,
        WIDTH, D, BLOCK_N, BLOCK_M, PRECISION, STAGES,
    )  # fmt: skip
    down_factor_n = (1 - repel_n) * scale
    down_top_n, down_shift_n, low_n, down_mass_n, down_nd = _visit(
        q_nd, K, V, k_m, v_m, KeyOrder, positives, keys, down_factor_n, low_n,
        WIDTH, D, BLOCK_N, BLOCK_M, PRECISION, STAGES,
    )  # fmt: skip

    # The largest modulated score of each sign, less the row's maximum: large scores are subtracted
    # before they are scaled, so that little is lost where they cancel.
    high_n = tl.maximum(up_top_n, down_top_n)
    up_n = up_factor_n * (up_top_n - high_n)
    down_n = scale * ((down_top_n - high_n) + repel_n * (low_n - down_top_n))
    # The visits subtracted the rounded shift, not top · factor itself.
    up_n -= tl.fma(up_top_n, up_factor_n, -up_shift_n)
    down_n -= tl.fma(down_top_n, down_factor_n, -down_shift_n)
    up_n = tl.where(up_mass_n > 0, up_n, -HUGE)  # a sign without keys
    down_n = tl.where(down_mass_n > 0, down_n, -HUGE)
    larger_n = tl.maximum(up_n, down_n)
    up_n = tl.exp2(up_n - larger_n)
    down_n = tl.exp2(down_n - larger_n)
    mass_n = up_n * up_mass_n + down_n * down_mass_n
    out_nd = up_nd * (up_n / mass_n)[:, None] + down_nd * (down_n / mass_n)[:, None]
    columns_d = tl.arange(0, D)
    tl.store(
        Out + query_n[:, None] * o_n + columns_d[None, :],
        out_nd.to(Out.dtype.element_ty),
        mask=real_n[:, None] & (columns_d[None, :] < WIDTH),
    )


INTERPRETED = not isinstance(modulated_kernel, triton.runtime.JITFunction)
"""Whether ``TRITON_INTERPRET=1`` was set: the kernels then run on the CPU, slowly, for tests."""


def launch(call: AttentionCall, tile: Tile) -> Tensor:
    """The result of a prepared call without soft keys, ``[B, H, N, d]``."""
    query, order = call.query, call.class_order()
    out = torch.empty_like(query)
    index = (order.queries_BS, order.classes_BN, order.keys_BCM, order.positives_BC)
    modulated_kernel[order.queries_BS.shape[1] // tile.queries, call.heads, call.batch](
        query, call.key, call.value, out, *index, call.attract, call.repel,
        call.scale * math.log2(math.e), call.keys,
        *strides_of(query, call.key, call.value, out),
        *batch_strides_of(*index, call.attract, call.repel),
        WIDTH=call.width, D=max(32, triton.next_power_of_2(call.width)),
        BLOCK_N=tile.queries, BLOCK_M=tile.keys,
        PRECISION="ieee" if query.dtype == torch.float32 else "tf32",
        STAGES=tile.stages, num_warps=tile.warps,
    )  # fmt: skip
    return out
