"""The portable kernel of the backend ``triton``: one pass over the keys.

A program holds a block of queries of one class. It visits the keys of one sign, then those of the
next: for each sign an online softmax over ``(1 − λ) s``, with a running maximum of its own, while
the row's smallest raw score is kept across the modulated ones. What the modulation adds to a sign's
scores is one number a row, so it only weighs the signs against each other, at the very end:
equation (3) in :mod:`grainspec_runtime.attention.operator`. Masked keys are not visited. For
partial results each sign's output is stored as it is, without that end.

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
from grainspec_runtime.attention.partial_result import Partials
from grainspec_runtime.attention.tuning import Tile

# Beyond every score, but finite: a difference of two infinities is NaN.
HUGE = tl.constexpr(1e30)

LN_2 = tl.constexpr(math.log(2))


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
def _level(top_n, shift_n, mass_n, factor_n, strength_n, end_n, high_n, scale):
    """A sign's largest modulated score less ``high``; ``end`` is what its scores are pulled to.

    Large scores are subtracted before they are scaled, so that little is lost where they cancel.
    """
    level_n = scale * ((top_n - high_n) + strength_n * (end_n - top_n))
    # The visits subtracted the rounded shift, not top · factor itself.
    level_n -= tl.fma(top_n, factor_n, -shift_n)
    return tl.where(mass_n > 0, level_n, -HUGE)  # or a sign without keys


@triton.jit
def _store_part(
    Outputs, LogSums, slot, rows_n, real_n, acc_nd, shift_n, mass_n,
    WIDTH: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """One sign's output and log-sum-exp, in natural units; ``rows`` counts from its first one."""
    some_n = mass_n > 0
    mass_n = tl.where(some_n, mass_n, 1.0)
    log_sum_n = tl.where(some_n, (shift_n + tl.log2(mass_n)) * LN_2, float("-inf"))
    tl.store(LogSums + slot + rows_n, log_sum_n, mask=real_n)
    columns_d = tl.arange(0, D)
    out_nd = acc_nd / mass_n[:, None]
    places_nd = Outputs + (slot + rows_n)[:, None] * WIDTH + columns_d[None, :]
    tl.store(places_nd, out_nd, mask=real_n[:, None] & (columns_d[None, :] < WIDTH))


@triton.jit
def modulated_kernel(
    Q, K, V, Out, LogSums, Largest, Smallest,
    Queries, Classes, KeyOrder, Ends, Attract, Repel, soft_share, scale, keys, queries,
    q_b, q_h, q_n, k_b, k_h, k_m, v_b, v_h, v_m, o_b, o_h, o_n,
    queries_b, classes_b, order_b, ends_b, attract_b, repel_b,
    WIDTH: tl.constexpr, D: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_M: tl.constexpr,
    PRECISION: tl.constexpr, STAGES: tl.constexpr,
    SOFT: tl.constexpr, NEUTRAL: tl.constexpr, PARTIALS: tl.constexpr,
):  # fmt: skip
    """One block of queries of one head; ``scale`` has log2(e) in it and is not negative.

    Strides of query, key, value and output are in units of eight elements. With ``PARTIALS`` the
    output is that of each sign, ``[S, B, H, N, d]``, beside log-sum-exps ``[S, B, H, N]`` and the
    row's largest and smallest score, ``[B, H, N]``, all float32 and contiguous.
    """
    head = tl.program_id(1).to(tl.int64)
    batch = tl.program_id(2).to(tl.int64)
    Queries += batch * queries_b + tl.program_id(0) * BLOCK_N
    leader = tl.load(Queries)
    if leader < 0:  # past the last query of its class
        return
    label = tl.load(Classes + batch * classes_b + leader).to(tl.int64)
    Ends += batch * ends_b + label * 4
    positives = tl.load(Ends)
    negatives = tl.load(Ends + 1)
    KeyOrder += batch * order_b + label * keys
    # With a constant in it the compiler sees that rows are aligned, and loads 16 bytes at a time.
    q_n, k_m, v_m, o_n = q_n * 8, k_m * 8, v_m * 8, o_n * 8
    Q += (batch * q_b + head * q_h) * 8
    K += (batch * k_b + head * k_h) * 8
    V += (batch * v_b + head * v_h) * 8

    query_n = tl.load(Queries + tl.arange(0, BLOCK_N))
    real_n = query_n >= 0
    query_n = tl.maximum(query_n, 0)
    attract_n = tl.load(Attract + batch * attract_b + query_n)
    repel_n = tl.load(Repel + batch * repel_b + query_n)
    q_nd = _rows_of(Q, query_n, q_n, WIDTH, D)

    all_rows = tl.num_programs(2).to(tl.int64) * tl.num_programs(1) * queries
    rows_n = (batch * tl.num_programs(1) + head) * queries + query_n
    low_n = tl.full([BLOCK_N], HUGE, tl.float32)
    up_factor_n = (1 - attract_n) * scale
    up_top_n, up_shift_n, low_n, up_mass_n, up_nd = _visit(
        q_nd, K, V, k_m, v_m, KeyOrder, 0, positives, up_factor_n, low_n,
        WIDTH, D, BLOCK_N, BLOCK_M, PRECISION, STAGES,
    )  # fmt: skip
    if PARTIALS:
        _store_part(Out, LogSums, 0, rows_n, real_n, up_nd, up_shift_n, up_mass_n, WIDTH, D)
    down_factor_n = (1 - repel_n) * scale
    down_top_n, down_shift_n, low_n, down_mass_n, down_nd = _visit(
        q_nd, K, V, k_m, v_m, KeyOrder, positives, negatives, down_factor_n, low_n,
        WIDTH, D, BLOCK_N, BLOCK_M, PRECISION, STAGES,
    )  # fmt: skip
    if PARTIALS:
        _store_part(
            Out, LogSums, all_rows, rows_n, real_n, down_nd, down_shift_n, down_mass_n, WIDTH, D
        )
    high_n = tl.maximum(up_top_n, down_top_n)
    if SOFT:
        softs = tl.load(Ends + 2)
        soft_pull_n = soft_share * repel_n
        soft_factor_n = (1 - soft_pull_n) * scale
        soft_top_n, soft_shift_n, low_n, soft_mass_n, soft_nd = _visit(
            q_nd, K, V, k_m, v_m, KeyOrder, negatives, softs, soft_factor_n, low_n,
            WIDTH, D, BLOCK_N, BLOCK_M, PRECISION, STAGES,
        )  # fmt: skip
        high_n = tl.maximum(high_n, soft_top_n)
        if PARTIALS:
            _store_part(
                Out, LogSums, 2 * all_rows, rows_n, real_n,
                soft_nd, soft_shift_n, soft_mass_n, WIDTH, D,
            )  # fmt: skip
    if PARTIALS:
        modulated_n = low_n < HUGE
        largest_n = tl.where(modulated_n, high_n * scale * LN_2, float("-inf"))
        smallest_n = tl.where(modulated_n, low_n * scale * LN_2, float("inf"))
        tl.store(Largest + rows_n, largest_n, mask=real_n)
        tl.store(Smallest + rows_n, smallest_n, mask=real_n)
    if not PARTIALS:
        up_n = up_factor_n * (up_top_n - high_n)
        up_n -= tl.fma(up_top_n, up_factor_n, -up_shift_n)
        up_n = tl.where(up_mass_n > 0, up_n, -HUGE)
        down_n = _level(
            down_top_n, down_shift_n, down_mass_n, down_factor_n, repel_n, low_n, high_n, scale
        )
        larger_n = tl.maximum(up_n, down_n)
        if SOFT:
            soft_n = _level(
                soft_top_n, soft_shift_n, soft_mass_n, soft_factor_n, soft_pull_n, low_n,
                high_n, scale,
            )  # fmt: skip
            larger_n = tl.maximum(larger_n, soft_n)
        up_n = tl.exp2(up_n - larger_n)
        down_n = tl.exp2(down_n - larger_n)
        mass_n = up_n * up_mass_n + down_n * down_mass_n
        if SOFT:
            soft_n = tl.exp2(soft_n - larger_n)
            mass_n += soft_n * soft_mass_n
        some_n = tl.where(mass_n > 0, mass_n, 1.0)  # without a key the output is 0
        out_nd = up_nd * (up_n / some_n)[:, None] + down_nd * (down_n / some_n)[:, None]
        if SOFT:
            out_nd += soft_nd * (soft_n / some_n)[:, None]
    if NEUTRAL:  # after the others are one, so that no third output needs registers
        zero_n = tl.zeros([BLOCK_N], tl.float32)
        neutral_factor_n = zero_n + scale
        neutral_top_n, neutral_shift_n, _, neutral_mass_n, neutral_nd = _visit(
            q_nd, K, V, k_m, v_m, KeyOrder, tl.load(Ends + 2), tl.load(Ends + 3),
            neutral_factor_n, zero_n, WIDTH, D, BLOCK_N, BLOCK_M, PRECISION, STAGES,
        )  # fmt: skip
        if PARTIALS:
            _store_part(
                Out, LogSums, (3 if SOFT else 2) * all_rows, rows_n, real_n,
                neutral_nd, neutral_shift_n, neutral_mass_n, WIDTH, D,
            )  # fmt: skip
        else:
            larger_n = tl.where(mass_n > 0, larger_n, -HUGE)
            high_n = tl.where(mass_n > 0, high_n, neutral_top_n)
            neutral_n = _level(
                neutral_top_n, neutral_shift_n, neutral_mass_n, neutral_factor_n, zero_n, zero_n,
                high_n, scale,
            )  # fmt: skip
            most_n = tl.maximum(larger_n, neutral_n)
            mass_n *= tl.exp2(larger_n - most_n)
            neutral_n = tl.exp2(neutral_n - most_n)
            some_n = mass_n + neutral_n * neutral_mass_n
            some_n = tl.where(some_n > 0, some_n, 1.0)
            out_nd = out_nd * (mass_n / some_n)[:, None]
            out_nd += neutral_nd * (neutral_n / some_n)[:, None]
    if not PARTIALS:
        columns_d = tl.arange(0, D)
        tl.store(
            Out + (batch * o_b + head * o_h) * 8 + query_n[:, None] * o_n + columns_d[None, :],
            out_nd.to(Out.dtype.element_ty),
            mask=real_n[:, None] & (columns_d[None, :] < WIDTH),
        )


INTERPRETED = not isinstance(modulated_kernel, triton.runtime.JITFunction)
"""Whether ``TRITON_INTERPRET=1`` was set: the kernels then run on the CPU, slowly, for tests."""


def launch(call: AttentionCall, tile: Tile) -> Tensor:
    """The result of a prepared call without columns, ``[B, H, N, d]``."""
    out = torch.empty_like(call.query)
    _launch(call, tile, out, out, out, out, partials=False)
    return out


def launch_partials(call: AttentionCall, tile: Tile) -> Partials:
    """The terms of equation (3) of a prepared call without columns."""
    rows = call.query.shape[:3]
    signs = len(call.present)
    outputs = call.query.new_empty(signs, *call.query.shape, dtype=torch.float32)
    log_sums = outputs.new_empty(signs, *rows)
    largest, smallest = outputs.new_empty(rows), outputs.new_empty(rows)
    _launch(call, tile, outputs, log_sums, largest, smallest, partials=True)
    return Partials(call.present, outputs, log_sums, largest, smallest)


def _launch(
    call: AttentionCall,
    tile: Tile,
    out: Tensor,
    log_sums: Tensor,
    largest: Tensor,
    smallest: Tensor,
    *,
    partials: bool,
) -> None:
    query, order = call.query, call.class_order()
    index = (order.queries_BS, order.classes_BN, order.keys_BCM, order.ends_BC4)
    modulated_kernel[order.queries_BS.shape[1] // tile.queries, call.heads, call.batch](
        query, call.key, call.value, out, log_sums, largest, smallest,
        *index, call.attract, call.repel,
        float(call.soft_share), call.scale * math.log2(math.e), call.keys, call.queries,
        *strides_of(query, call.key, call.value, out),
        *batch_strides_of(*index, call.attract, call.repel),
        WIDTH=call.width, D=max(32, triton.next_power_of_2(call.width)),
        BLOCK_N=tile.queries, BLOCK_M=tile.keys,
        PRECISION="ieee" if query.dtype == torch.float32 else "tf32",
        STAGES=tile.stages, num_warps=tile.warps,
        SOFT=call.soft is not None, NEUTRAL=call.neutral is not None, PARTIALS=partials,
    )  # fmt: skip
