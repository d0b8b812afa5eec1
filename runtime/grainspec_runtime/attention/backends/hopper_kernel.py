"""The kernel of the backend ``hopper``: copies and arithmetic at the same time.

It computes what :mod:`.triton_kernel` computes, by the same equation. Keys and values lie in the
order of their classes, so that the keys of one sign are a few runs of neighbours;
:mod:`grainspec_runtime.attention.class_order` cuts them into tiles of one sign each. Three groups
of warps share a program: one copies tiles to shared memory with the bulk copy engine, and two
attend (:mod:`.hopper_tiles`), each with 64 queries, so that the exponentials of one run beside the
matrix products of the other.

Dimensions: n queries of a tile, m keys of a tile, d head size.
"""

# Kernels are not annotated: their values are those of Triton's compiler, which mypy does not know.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls
# mypy: disable-error-code="no-redef"

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import fence_async_shared, mbarrier, tma
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

from grainspec_runtime.attention import class_order
from grainspec_runtime.attention.backends.hopper_tiles import HUGE, ROWS, TILE, times_rows, visit
from grainspec_runtime.attention.backends.kernel_inputs import batch_strides_of, strides_of
from grainspec_runtime.attention.call import AttentionCall
from grainspec_runtime.attention.partial_result import Partials

# Names that differ between the versions of Triton that have them.
barrier = getattr(gl, "barrier", None) or gl.thread_barrier
copy_tile = getattr(tma, "async_load", None) or tma.async_copy_global_to_shared

LN_2 = gl.constexpr(math.log(2))
DTYPES = {torch.float16: gl.float16, torch.bfloat16: gl.bfloat16}


@triton.jit(do_not_specialize=["keys", "k_b", "k_h", "k_m", "v_b", "v_h", "v_m", "order_b"])
def sort_kernel(
    K, V, SortedK, SortedV, Order, keys, k_b, k_h, k_m, v_b, v_h, v_m, order_b,
    WIDTH: tl.constexpr, V_WIDTH: tl.constexpr, D: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Keys and values ``[B, H, M, d]`` in the order of an index; strides in units of eight.

    Where values have room for one column more, it is of ones.
    """
    head = tl.program_id(1).to(tl.int64)
    batch = tl.program_id(2).to(tl.int64)
    place_m = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    columns_d = tl.arange(0, D)
    index_m = tl.load(Order + batch * order_b + place_m, mask=place_m < keys, other=0).to(tl.int64)
    inside = (place_m < keys)[:, None] & (columns_d < WIDTH)[None, :]
    k_places = K + (batch * k_b + head * k_h + index_m * k_m)[:, None] * 8 + columns_d[None, :]
    v_places = V + (batch * v_b + head * v_h + index_m * v_m)[:, None] * 8 + columns_d[None, :]
    row_m = (batch * tl.num_programs(1) + head) * keys + place_m
    k_md = tl.load(k_places, mask=inside)
    v_md = tl.load(v_places, mask=inside, other=0.0)
    v_md = tl.where((columns_d == WIDTH)[None, :], 1.0, v_md)
    tl.store(SortedK + row_m[:, None] * WIDTH + columns_d[None, :], k_md, mask=inside)
    inside = (place_m < keys)[:, None] & (columns_d < V_WIDTH)[None, :]
    tl.store(SortedV + row_m[:, None] * V_WIDTH + columns_d[None, :], v_md, mask=inside)


@gluon.jit
def _produce(k1_desc, k2_desc, v1_desc, v2_desc, k1, k2, v1, v2, bars, Tiles, tiles, first_row):
    """Every tile of keys and values, in turn, to the shared memory that is free."""
    STAGES: gl.constexpr = k1.shape[0]
    BLOCK_M: gl.constexpr = k1.shape[1]
    K1: gl.constexpr = k1.shape[2]
    V1: gl.constexpr = v1.shape[2]
    SPLIT: gl.constexpr = TILE // BLOCK_M
    BYTES: gl.constexpr = BLOCK_M * k1.dtype.primitive_bitwidth // 8
    k_full, k_free, v_full, v_free = bars
    for tile in range(tiles):
        stage = tile % STAGES
        phase = (tile // STAGES) & 1
        first = gl.load(Tiles + tile // SPLIT) // TILE
        row = first_row + first + tile % SPLIT * BLOCK_M
        mbarrier.wait(k_free.index(stage), phase ^ 1)
        bar = k_full.index(stage)
        if k2 is None:
            mbarrier.expect(bar, BYTES * K1)
        else:
            mbarrier.expect(bar, BYTES * (K1 + k2.shape[2]))
            copy_tile(k2_desc, [row, K1], bar, k2.index(stage))
        copy_tile(k1_desc, [row, 0], bar, k1.index(stage))
        mbarrier.wait(v_free.index(stage), phase ^ 1)
        bar = v_full.index(stage)
        if v2 is None:
            mbarrier.expect(bar, BYTES * V1)
        else:
            mbarrier.expect(bar, BYTES * (V1 + v2.shape[2]))
            copy_tile(v2_desc, [row, V1], bar, v2.index(stage))
        copy_tile(v1_desc, [row, 0], bar, v1.index(stage))


@gluon.jit
def _load_queries(smem, Q, Queries, stride, FIRST: gl.constexpr, WIDTH: gl.constexpr):
    D: gl.constexpr = smem.shape[1]
    layout: gl.constexpr = gl.BlockedLayout([1, 8], [256 // D, D // 8], [4, 1], [1, 0])
    query_n = gl.maximum(gl.load(Queries + gl.arange(0, ROWS, gl.SliceLayout(1, layout))), 0)
    columns_d = FIRST + gl.arange(0, D, gl.SliceLayout(0, layout))
    places = Q + query_n[:, None] * stride + columns_d[None, :]
    smem.store(gl.load(places, mask=columns_d[None, :] < WIDTH, other=0.0))


@gluon.jit
def store(Out, Queries, stride, out_nd, FIRST: gl.constexpr, WIDTH: gl.constexpr):
    """A tile of outputs, to the rows of its queries."""
    layout: gl.constexpr = out_nd.type.layout
    query_n = gl.load(Queries + gl.arange(0, ROWS, gl.SliceLayout(1, layout)))
    columns_d = FIRST + gl.arange(0, out_nd.shape[1], gl.SliceLayout(0, layout))
    gl.store(
        Out + query_n[:, None] * stride + columns_d[None, :],
        out_nd.to(Out.dtype.element_ty),
        mask=(query_n[:, None] >= 0) & (columns_d[None, :] < WIDTH),
    )


@gluon.jit
def _store_part(
    Out, LogSums, Queries, o_n, shift_n, mass_n, out_1, out_2,
    V1: gl.constexpr, HAS_2: gl.constexpr, WIDTH: gl.constexpr,
):  # fmt: skip
    """One sign's output, and the log-sum-exp of its scores; 0 and −∞ in rows without a key."""
    some_n = gl.where(mass_n > 0, mass_n, 1.0)
    log_sum_n = gl.where(mass_n > 0, (shift_n + gl.log2(some_n)) * LN_2, float("-inf"))
    store(Out, Queries, o_n, times_rows(out_1, 1 / some_n), 0, WIDTH)
    if HAS_2:
        store(Out, Queries, o_n, times_rows(out_2, 1 / some_n), V1, WIDTH)
    _store_rows(LogSums, Queries, log_sum_n)


@gluon.jit
def _store_rows(To, Queries, value_n):
    """One number for each query of a tile."""
    query_n = gl.load(Queries + gl.arange(0, ROWS, value_n.type.layout))
    gl.store(To + query_n, value_n, mask=query_n >= 0)


@gluon.jit
def _attend(
    Q, Out, parts, Queries, Attract, Repel, scale, q_n, o_n, q1, q2, k1, k2, v1, v2, park1, park2,
    bars, both, Tiles, counts,
    WIDTH: gl.constexpr, WHICH: gl.constexpr, OVERLAP: gl.constexpr, ONES: gl.constexpr,
    PARTIALS: gl.constexpr,
):  # fmt: skip
    """64 queries of one class, from their scores to their output, or to their partial results."""
    STAGES: gl.constexpr = k1.shape[0]
    BLOCK_M: gl.constexpr = k1.shape[1]
    K1: gl.constexpr = k1.shape[2]
    V1: gl.constexpr = v1.shape[2]
    V2: gl.constexpr = 8 if v2 is None else v2.shape[2]
    s_layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, BLOCK_M, 16])
    o1_layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, V1, 16])
    o2_layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, V2, 16])
    row_s: gl.constexpr = gl.SliceLayout(1, s_layout)

    up_ragged, up_whole, down_ragged, down_whole = counts
    if WHICH == 1:
        if both == 0:  # no queries here: only let the copies go on
            k_full, k_free, v_full, v_free = bars
            for tile in range(up_ragged + up_whole + down_ragged + down_whole):
                stage = tile % STAGES
                phase = (tile // STAGES) & 1
                mbarrier.wait(k_full.index(stage), phase)
                mbarrier.arrive(k_free.index(stage))
                mbarrier.wait(v_full.index(stage), phase)
                mbarrier.arrive(v_free.index(stage))
        up_ragged *= both
        up_whole *= both
        down_ragged *= both
        down_whole *= both

    Queries += WHICH * ROWS
    my_q1 = q1.index(WHICH)
    _load_queries(my_q1, Q, Queries, q_n, 0, WIDTH)
    if q2 is not None:
        my_q2 = q2.index(WHICH)
        _load_queries(my_q2, Q, Queries, q_n, K1, WIDTH)
    else:
        my_q2: gl.constexpr = None
    fence_async_shared()
    barrier()

    row_n = gl.maximum(gl.load(Queries + gl.arange(0, ROWS, row_s)), 0)
    attract_n = gl.load(Attract + row_n)
    repel_n = gl.load(Repel + row_n)
    low_n = gl.full([ROWS], HUGE, gl.float32, row_s)
    up_factor_n = (1 - attract_n) * scale
    down_factor_n = (1 - repel_n) * scale
    count, up_top_n, up_shift_n, low_n, up_mass_n, up_1, up_2 = visit(
        my_q1, my_q2, k1, k2, v1, v2, bars, Tiles, gl.to_tensor(0), up_ragged, up_whole,
        up_factor_n, low_n, WIDTH, OVERLAP, ONES, s_layout, o1_layout, o2_layout,
    )  # fmt: skip
    DownOut, UpSums, DownSums, Largest, Smallest = parts
    HAS_2: gl.constexpr = v2 is not None
    if PARTIALS:
        _store_part(Out, UpSums, Queries, o_n, up_shift_n, up_mass_n, up_1, up_2, V1, HAS_2, WIDTH)
    if park1 is not None:
        park1.index(WHICH).store(up_1)
    if park2 is not None:
        park2.index(WHICH).store(up_2)
    count, down_top_n, down_shift_n, low_n, down_mass_n, down_1, down_2 = visit(
        my_q1, my_q2, k1, k2, v1, v2, bars, Tiles, count,
        down_ragged, down_whole, down_factor_n, low_n,
        WIDTH, OVERLAP, ONES, s_layout, o1_layout, o2_layout,
    )  # fmt: skip

    high_n = gl.maximum(up_top_n, down_top_n)
    if PARTIALS:
        _store_part(
            DownOut, DownSums, Queries, o_n, down_shift_n, down_mass_n, down_1, down_2,
            V1, HAS_2, WIDTH,
        )  # fmt: skip
        some_n = low_n < HUGE
        _store_rows(Largest, Queries, gl.where(some_n, high_n * scale * LN_2, float("-inf")))
        _store_rows(Smallest, Queries, gl.where(some_n, low_n * scale * LN_2, float("inf")))
    else:
        # The two signs together, as in `triton_kernel`.
        up_n = up_factor_n * (up_top_n - high_n)
        down_n = scale * ((down_top_n - high_n) + repel_n * (low_n - down_top_n))
        up_n -= gl.fma(up_top_n, up_factor_n, -up_shift_n)
        down_n -= gl.fma(down_top_n, down_factor_n, -down_shift_n)
        up_n = gl.where(up_mass_n > 0, up_n, -HUGE)
        down_n = gl.where(down_mass_n > 0, down_n, -HUGE)
        larger_n = gl.maximum(up_n, down_n)
        up_n = gl.exp2(up_n - larger_n)
        down_n = gl.exp2(down_n - larger_n)
        mass_n = up_n * up_mass_n + down_n * down_mass_n
        up_n /= mass_n
        down_n /= mass_n
        if park1 is not None:
            up_1 = park1.index(WHICH).load(o1_layout)
        store(Out, Queries, o_n, times_rows(up_1, up_n) + times_rows(down_1, down_n), 0, WIDTH)
        if v2 is not None:
            if park2 is not None:
                up_2 = park2.index(WHICH).load(o2_layout)
            store(Out, Queries, o_n, times_rows(up_2, up_n) + times_rows(down_2, down_n), V1, WIDTH)


@gluon.jit
def shared(dtype: gl.constexpr, COUNT: gl.constexpr, M: gl.constexpr, D: gl.constexpr):
    """Some tiles of shared memory, as the matrix units read them."""
    layout: gl.constexpr = gl.NVMMASharedLayout.get_default_for([M, D], dtype)
    return gl.allocate_shared_memory(dtype, [COUNT, M, D], layout)


@gluon.jit
def barriers(COUNT: gl.constexpr, ARRIVALS: gl.constexpr):
    """Some barriers, ready to be waited for."""
    bars = gl.allocate_shared_memory(gl.int64, [COUNT, 1], mbarrier.MBarrierLayout())
    for index in gl.static_range(COUNT):
        mbarrier.init(bars.index(index), ARRIVALS)
    return bars


@gluon.jit(
    do_not_specialize=[
        *("keys", "queries", "most_tiles", "q_b", "q_h", "q_n", "o_b", "o_h", "o_n"),
        *("queries_b", "classes_b", "tiles_b", "counts_b", "attract_b", "repel_b"),
    ]
)
def modulated_kernel(
    Q, k1_desc, k2_desc, v1_desc, v2_desc, Out, DownOut, UpSums, DownSums, Largest, Smallest,
    Queries, Classes, Tiles, Counts, Attract, Repel, scale, keys, queries, most_tiles,
    q_b, q_h, q_n, o_b, o_h, o_n, queries_b, classes_b, tiles_b, counts_b, attract_b, repel_b,
    WIDTH: gl.constexpr, K2: gl.constexpr, V2: gl.constexpr, STAGES: gl.constexpr,
    PARK: gl.constexpr, OVERLAP: gl.constexpr, ONES: gl.constexpr, PARTIALS: gl.constexpr,
):  # fmt: skip
    """128 queries of one head; ``scale`` has log2(e) in it and is not negative.

    Strides of query and output are in units of eight elements. With ``PARTIALS``, the output is
    that of positive keys; the tensors after it are unused otherwise.
    """
    dtype: gl.constexpr = Q.dtype.element_ty
    BLOCK_M: gl.constexpr = k1_desc.block_type.shape[0]
    K1: gl.constexpr = k1_desc.block_type.shape[1]
    V1: gl.constexpr = v1_desc.block_type.shape[1]
    head = gl.program_id(1).to(gl.int64)
    batch = gl.program_id(2).to(gl.int64)
    Queries += batch * queries_b + gl.program_id(0) * (2 * ROWS)
    leader = gl.load(Queries)
    if leader >= 0:  # or past the last query of its class
        both = (gl.load(Queries + ROWS) >= 0).to(gl.int32)
        label = gl.load(Classes + batch * classes_b + leader).to(gl.int64)
        Tiles += batch * tiles_b + label * most_tiles
        Counts += batch * counts_b + label * 4
        SPLIT: gl.constexpr = TILE // BLOCK_M
        counts = (
            gl.load(Counts) * SPLIT,
            gl.load(Counts + 1) * SPLIT,
            gl.load(Counts + 2) * SPLIT,
            gl.load(Counts + 3) * SPLIT,
        )
        tiles = counts[0] + counts[1] + counts[2] + counts[3]
        q_n, o_n = q_n * 8, o_n * 8
        Q += (batch * q_b + head * q_h) * 8
        Out += (batch * o_b + head * o_h) * 8
        DownOut += (batch * o_b + head * o_h) * 8
        row = (batch * gl.num_programs(1) + head) * queries
        parts = (DownOut, UpSums + row, DownSums + row, Largest + row, Smallest + row)
        Attract += batch * attract_b
        Repel += batch * repel_b
        first_row = (gl.program_id(2) * gl.num_programs(1) + gl.program_id(1)) * keys

        q1 = shared(dtype, 2, ROWS, K1)
        k1 = shared(dtype, STAGES, BLOCK_M, K1)
        v1 = shared(dtype, STAGES, BLOCK_M, V1)
        if K2 > 0:
            q2 = shared(dtype, 2, ROWS, K2)
            k2 = shared(dtype, STAGES, BLOCK_M, K2)
        else:
            q2: gl.constexpr = None
            k2: gl.constexpr = None
        if V2 > 0:
            v2 = shared(dtype, STAGES, BLOCK_M, V2)
        else:
            v2: gl.constexpr = None
        park_layout: gl.constexpr = gl.SwizzledSharedLayout(1, 1, 1, [1, 0])
        if PARK:  # registers do not hold the output of both signs
            park1 = gl.allocate_shared_memory(gl.float32, [2, ROWS, V1], park_layout)
        else:
            park1: gl.constexpr = None
        if PARK and V2 > 0:
            park2 = gl.allocate_shared_memory(gl.float32, [2, ROWS, V2], park_layout)
        else:
            park2: gl.constexpr = None
        bars = (
            barriers(STAGES, 1),
            barriers(STAGES, 2),
            barriers(STAGES, 1),
            barriers(STAGES, 2),
        )
        barrier()

        gl.warp_specialize(
            [
                (_attend, (
                    Q, Out, parts, Queries, Attract, Repel, scale, q_n, o_n,
                    q1, q2, k1, k2, v1, v2, park1, park2, bars, both, Tiles, counts,
                    WIDTH, 0, OVERLAP, ONES, PARTIALS,
                )),
                (_attend, (
                    Q, Out, parts, Queries, Attract, Repel, scale, q_n, o_n,
                    q1, q2, k1, k2, v1, v2, park1, park2, bars, both, Tiles, counts,
                    WIDTH, 1, OVERLAP, ONES, PARTIALS,
                )),
                (_produce, (
                    k1_desc, k2_desc, v1_desc, v2_desc,
                    k1, k2, v1, v2, bars, Tiles, tiles, first_row,
                )),
            ],
            [4, 1],
            [240, 24],
        )  # fmt: skip


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


def tile_keys(width: int) -> int:
    """The keys of a tile, for heads of this size."""
    return class_order.TILE if width <= 128 else class_order.TILE // 2


def constants(width: int, *, partials: bool) -> dict[str, int | bool]:
    """What the kernel is compiled for: heads of this size, and whole or partial results."""
    large, small = pieces(width)
    return {
        "WIDTH": width,
        "K2": small,
        "V2": small,
        "STAGES": 2,
        "PARK": width > 64 and not partials,
        "OVERLAP": width > 64,
        "ONES": large + small > width,  # room for a column of ones, whose sums are the softmax's
        "PARTIALS": partials,
    }


def launch(call: AttentionCall) -> Tensor:
    """The result of a prepared call without soft keys, ``[B, H, N, d]``, float16 or bfloat16."""
    out = torch.empty_like(call.query)
    _launch(call, [out] * 6, partials=False)
    return out


def launch_partials(call: AttentionCall) -> Partials:
    """The terms of equation (3) of a prepared call without soft keys."""
    rows = call.query.shape[:3]
    outputs = call.query.new_empty(2, *call.query.shape, dtype=torch.float32)
    log_sums = outputs.new_empty(2, *rows)
    largest, smallest = outputs.new_empty(rows), outputs.new_empty(rows)
    _launch(call, [*outputs, *log_sums, largest, smallest], partials=True)
    return Partials(call.present, outputs, log_sums, largest, smallest)


def _launch(call: AttentionCall, outs: Sequence[Tensor], *, partials: bool) -> None:
    query, keys, width, order = call.query, call.keys, call.width, call.class_order()
    large, small = pieces(width)
    known = constants(width, partials=partials)
    sorted_key, sorted_value = _sorted_by_class(call, large + small if known["ONES"] else width)
    descriptors = (
        _described(tensor, tile_keys(width), piece)
        for tensor in (sorted_key, sorted_value)
        for piece in (large, small)
    )
    index = (order.queries_BS, order.classes_BN, order.tiles_BCT, order.counts_BC4)
    modulated_kernel[order.queries_BS.shape[1] // class_order.BLOCK, call.heads, call.batch](
        query, *descriptors, *outs, *index, call.attract, call.repel,
        call.scale * math.log2(math.e), keys, call.queries, order.tiles_BCT.shape[2],
        *strides_of(query, outs[0]), *batch_strides_of(*index, call.attract, call.repel),
        **known, num_warps=4,
    )  # fmt: skip


def _sorted_by_class(call: AttentionCall, value_width: int) -> tuple[Tensor, Tensor]:
    """Keys ``[B · H · M, d]`` and values ``[B · H · M, value_width]`` in the order of classes."""
    order_BM = call.class_order().sorted_BM
    rows = call.batch * call.heads * call.keys
    sorted_key = call.key.new_empty(rows, call.width)
    sorted_value = call.key.new_empty(rows, value_width)
    sort_kernel[triton.cdiv(call.keys, 64), call.heads, call.batch](
        call.key, call.value, sorted_key, sorted_value, order_BM, call.keys,
        *strides_of(call.key, call.value), *batch_strides_of(order_BM),
        WIDTH=call.width, V_WIDTH=value_width, D=triton.next_power_of_2(value_width), BLOCK=64,
    )  # fmt: skip
    return sorted_key, sorted_value


def _described(tensor: Tensor, rows: int, columns: int) -> TensorDescriptor | None:
    if not columns:
        return None
    layout = gl.NVMMASharedLayout.get_default_for([rows, columns], DTYPES[tensor.dtype])
    return TensorDescriptor.from_tensor(tensor, [rows, columns], layout)
