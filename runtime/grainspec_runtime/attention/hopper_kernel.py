"""The operator for Hopper GPUs: what ``fused_kernel`` computes, with copies and arithmetic at once.

Keys and values lie in the order of their classes, so that the keys of one sign are a few runs of
neighbours; :mod:`grainspec_runtime.attention.class_order` cuts them into tiles of one sign each.
Three groups of warps share a program: one copies tiles to shared memory with the bulk copy engine,
and two attend, each with 64 queries, so that the exponentials of one run beside the matrix products
of the other. The mathematics is that of :mod:`grainspec_runtime.attention.fused_kernel`.

Head sizes are sums of at most two powers of two (80 = 64 + 16): what Triton can hold, with less
padding than the next power of two.

Dimensions: n queries of a tile, m keys of a tile, d head size.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    fence_async_shared,
    mbarrier,
    tma,
    warpgroup_mma,
    warpgroup_mma_wait,
)

# Names that differ between the versions of Triton that have them.
barrier = getattr(gl, "barrier", None) or gl.thread_barrier
copy_tile = getattr(tma, "async_load", None) or tma.async_copy_global_to_shared

HUGE = gl.constexpr(1e30)
TILE = gl.constexpr(128)  # keys of a whole tile in the order's tables
ROWS = gl.constexpr(64)  # queries of one group of warps


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
def _scores(q1, q2, k1, k2, stage, zeros_nm):
    s_nm = warpgroup_mma(
        q1, k1.index(stage).permute((1, 0)), zeros_nm, use_acc=False, is_async=True
    )
    if q2 is not None:
        s_nm = warpgroup_mma(q2, k2.index(stage).permute((1, 0)), s_nm, is_async=True)
    return s_nm


@gluon.jit
def _packed(p_nm, dtype: gl.constexpr):
    """Pairs of neighbours as 32-bit words: halves would be taken apart between two tiles."""
    low, high = gl.split(p_nm.reshape([p_nm.shape[0], p_nm.shape[1] // 2, 2]))
    if dtype == gl.float16:
        ASM: gl.constexpr = "cvt.rn.f16x2.f32 $0, $2, $1;"
    else:
        ASM: gl.constexpr = "cvt.rn.bf16x2.f32 $0, $2, $1;"
    return gl.inline_asm_elementwise(ASM, "=r,f,f", [low, high], gl.int32, True, 1)


@gluon.jit
def _unpacked(word, dtype: gl.constexpr, layout: gl.constexpr):
    low = word.to(gl.int16).to(dtype, bitcast=True)
    high = (word >> 16).to(gl.int16).to(dtype, bitcast=True)
    p_nm = gl.join(low, high).reshape([word.shape[0], word.shape[1] * 2])
    return gl.convert_layout(p_nm, gl.DotOperandLayout(0, layout, 2), assert_trivial=True)


@gluon.jit
def _softmax(
    s_nm, inside_m, factor_n, top_n, shift_n, low_n, mass_n,
    RAGGED: gl.constexpr, ONES: gl.constexpr,
):  # fmt: skip
    """One tile of scores; ``shift`` is ``top · factor`` as rounded."""
    if RAGGED:
        new_top_n = gl.maximum(top_n, gl.max(gl.where(inside_m[None, :], s_nm, -HUGE), 1))
        low_n = gl.minimum(low_n, gl.min(gl.where(inside_m[None, :], s_nm, HUGE), 1))
    else:
        new_top_n = gl.maximum(top_n, gl.max(s_nm, 1))
        low_n = gl.minimum(low_n, gl.min(s_nm, 1))
    new_shift_n = new_top_n * factor_n
    decay_n = gl.exp2(shift_n - new_shift_n)
    p_nm = gl.exp2(
        gl.fma(
            s_nm,
            factor_n[:, None].broadcast_to(s_nm.shape),
            -new_shift_n[:, None].broadcast_to(s_nm.shape),
        )
    )
    if RAGGED:
        p_nm = gl.where(inside_m[None, :], p_nm, 0.0)
    if not ONES:
        mass_n = mass_n * decay_n + gl.sum(p_nm, 1)
    return p_nm, decay_n, new_top_n, new_shift_n, low_n, mass_n


@gluon.jit
def _times(out_nd, factor_n):
    factor_n = gl.convert_layout(
        factor_n, gl.SliceLayout(1, out_nd.type.layout), assert_trivial=True
    )
    return out_nd * factor_n[:, None]


@gluon.jit
def _column(out_nd, INDEX: gl.constexpr, layout: gl.constexpr):
    """One column of what may also hold others."""
    columns_d = gl.arange(0, out_nd.shape[1], gl.SliceLayout(0, out_nd.type.layout))
    column_n = gl.sum(gl.where((columns_d == INDEX)[None, :], out_nd, 0.0), 1)
    return gl.convert_layout(column_n, layout, assert_trivial=True)


@gluon.jit
def _ragged(
    q1, q2, k1, k2, v1, v2, bars, count, inside_m, zeros_nm,
    factor_n, top_n, shift_n, low_n, mass_n, o1, o2, ONES: gl.constexpr,
):  # fmt: skip
    """One tile of which only some keys count."""
    o1_layout: gl.constexpr = o1.type.layout
    o2_layout: gl.constexpr = o2.type.layout
    dtype: gl.constexpr = k1.dtype
    STAGES: gl.constexpr = k1.shape[0]
    k_full, k_free, v_full, v_free = bars
    stage = count % STAGES
    phase = (count // STAGES) & 1
    mbarrier.wait(k_full.index(stage), phase)
    s_tok = _scores(q1, q2, k1, k2, stage, zeros_nm)
    s_nm = warpgroup_mma_wait(0, deps=(s_tok,))
    mbarrier.arrive(k_free.index(stage))
    p_nm, decay_n, top_n, shift_n, low_n, mass_n = _softmax(
        s_nm, inside_m, factor_n, top_n, shift_n, low_n, mass_n, True, ONES
    )
    word = _packed(p_nm, dtype)
    o1 = _times(o1, decay_n)
    if v2 is not None:
        o2 = _times(o2, decay_n)
    mbarrier.wait(v_full.index(stage), phase)
    p1_nm = _unpacked(word, dtype, o1_layout)
    o1_tok = warpgroup_mma(p1_nm, v1.index(stage), o1, is_async=True)
    if v2 is not None:
        p2_nm = _unpacked(word, dtype, o2_layout)
        o2_tok = warpgroup_mma(p2_nm, v2.index(stage), o2, is_async=True)
        o1, o2, p1_nm, p2_nm = warpgroup_mma_wait(0, deps=(o1_tok, o2_tok, p1_nm, p2_nm))
    else:
        o1, p1_nm = warpgroup_mma_wait(0, deps=(o1_tok, p1_nm))
    mbarrier.arrive(v_free.index(stage))
    return count + 1, top_n, shift_n, low_n, mass_n, o1, o2


@gluon.jit
def _visit(
    q1, q2, k1, k2, v1, v2, bars, Tiles, count, ragged, whole, factor_n, low_n,
    WIDTH: gl.constexpr, OVERLAP: gl.constexpr, ONES: gl.constexpr,
    s_layout: gl.constexpr, o1_layout: gl.constexpr, o2_layout: gl.constexpr,
):  # fmt: skip
    """All keys of one sign, the ragged tiles first; ``count`` tiles were visited before."""
    dtype: gl.constexpr = k1.dtype
    STAGES: gl.constexpr = k1.shape[0]
    BLOCK_M: gl.constexpr = k1.shape[1]
    SPLIT: gl.constexpr = TILE // BLOCK_M
    PIECES: gl.constexpr = 1 if v2 is None else 2
    row_s: gl.constexpr = gl.SliceLayout(1, s_layout)
    k_full, k_free, v_full, v_free = bars
    top_n = gl.full([ROWS], -HUGE, gl.float32, row_s)
    shift_n = top_n * factor_n
    mass_n = gl.zeros([ROWS], gl.float32, row_s)
    V1: gl.constexpr = v1.shape[2]
    V2: gl.constexpr = 8 if v2 is None else v2.shape[2]
    o1 = gl.zeros([ROWS, V1], gl.float32, o1_layout)
    o2 = gl.zeros([ROWS, V2], gl.float32, o2_layout)
    zeros_nm = gl.zeros([ROWS, BLOCK_M], gl.float32, s_layout)
    place_m = gl.arange(0, BLOCK_M, gl.SliceLayout(0, s_layout))
    for _ in range(ragged):
        last = gl.load(Tiles + count // SPLIT) % TILE
        inside_m = place_m + count % SPLIT * BLOCK_M <= last
        count, top_n, shift_n, low_n, mass_n, o1, o2 = _ragged(
            q1, q2, k1, k2, v1, v2, bars, count, inside_m, zeros_nm,
            factor_n, top_n, shift_n, low_n, mass_n, o1, o2, ONES,
        )  # fmt: skip
    if whole > 0:
        stage = count % STAGES
        phase = (count // STAGES) & 1
        mbarrier.wait(k_full.index(stage), phase)
        s_tok = _scores(q1, q2, k1, k2, stage, zeros_nm)
        s_nm = warpgroup_mma_wait(0, deps=(s_tok,))
        mbarrier.arrive(k_free.index(stage))
        p_nm, decay_n, top_n, shift_n, low_n, mass_n = _softmax(
            s_nm, place_m, factor_n, top_n, shift_n, low_n, mass_n, False, ONES
        )
        word = _packed(p_nm, dtype)
        o1 = _times(o1, decay_n)
        if v2 is not None:
            o2 = _times(o2, decay_n)
        mbarrier.wait(v_full.index(stage), phase)
        for _ in range(whole - 1):
            stage = count % STAGES
            count += 1
            next_stage = count % STAGES
            next_phase = (count // STAGES) & 1
            mbarrier.wait(k_full.index(next_stage), next_phase)
            s_tok = _scores(q1, q2, k1, k2, next_stage, zeros_nm)
            p1_nm = _unpacked(word, dtype, o1_layout)
            o1_tok = warpgroup_mma(p1_nm, v1.index(stage), o1, is_async=True)
            if v2 is not None:
                p2_nm = _unpacked(word, dtype, o2_layout)
                o2_tok = warpgroup_mma(p2_nm, v2.index(stage), o2, is_async=True)
            if OVERLAP:
                s_nm = warpgroup_mma_wait(PIECES, deps=(s_tok,))
                mbarrier.arrive(k_free.index(next_stage))
                p_nm, decay_n, top_n, shift_n, low_n, mass_n = _softmax(
                    s_nm, place_m, factor_n, top_n, shift_n, low_n, mass_n, False, ONES
                )
                # The compiler moves no arithmetic across a barrier's loop: the softmax stays before
                # the wait for the matrix units.
                mbarrier.wait(v_full.index(next_stage), next_phase)
                if v2 is not None:
                    o1, o2, p1_nm, p2_nm = warpgroup_mma_wait(
                        0, deps=(o1_tok, o2_tok, p1_nm, p2_nm)
                    )
                else:
                    o1, p1_nm = warpgroup_mma_wait(0, deps=(o1_tok, p1_nm))
                mbarrier.arrive(v_free.index(stage))
            else:
                if v2 is not None:
                    s_nm, o1, o2, p1_nm, p2_nm = warpgroup_mma_wait(
                        0, deps=(s_tok, o1_tok, o2_tok, p1_nm, p2_nm)
                    )
                else:
                    s_nm, o1, p1_nm = warpgroup_mma_wait(0, deps=(s_tok, o1_tok, p1_nm))
                mbarrier.arrive(k_free.index(next_stage))
                mbarrier.arrive(v_free.index(stage))
                p_nm, decay_n, top_n, shift_n, low_n, mass_n = _softmax(
                    s_nm, place_m, factor_n, top_n, shift_n, low_n, mass_n, False, ONES
                )
                mbarrier.wait(v_full.index(next_stage), next_phase)
            word = _packed(p_nm, dtype)
            o1 = _times(o1, decay_n)
            if v2 is not None:
                o2 = _times(o2, decay_n)
        stage = count % STAGES
        p1_nm = _unpacked(word, dtype, o1_layout)
        o1_tok = warpgroup_mma(p1_nm, v1.index(stage), o1, is_async=True)
        if v2 is not None:
            p2_nm = _unpacked(word, dtype, o2_layout)
            o2_tok = warpgroup_mma(p2_nm, v2.index(stage), o2, is_async=True)
            o1, o2, p1_nm, p2_nm = warpgroup_mma_wait(0, deps=(o1_tok, o2_tok, p1_nm, p2_nm))
        else:
            o1, p1_nm = warpgroup_mma_wait(0, deps=(o1_tok, p1_nm))
        mbarrier.arrive(v_free.index(stage))
        count += 1
    if ONES:
        mass_n = _column(o1, WIDTH, row_s) if WIDTH < V1 else _column(o2, WIDTH - V1, row_s)
    return count, top_n, shift_n, low_n, mass_n, o1, o2


@gluon.jit
def _load_queries(smem, Q, Queries, stride, FIRST: gl.constexpr, WIDTH: gl.constexpr):
    D: gl.constexpr = smem.shape[1]
    layout: gl.constexpr = gl.BlockedLayout([1, 8], [256 // D, D // 8], [4, 1], [1, 0])
    query_n = gl.maximum(gl.load(Queries + gl.arange(0, ROWS, gl.SliceLayout(1, layout))), 0)
    columns_d = FIRST + gl.arange(0, D, gl.SliceLayout(0, layout))
    places = Q + query_n[:, None] * stride + columns_d[None, :]
    smem.store(gl.load(places, mask=columns_d[None, :] < WIDTH, other=0.0))


@gluon.jit
def _store(Out, Queries, stride, out_nd, FIRST: gl.constexpr, WIDTH: gl.constexpr):
    layout: gl.constexpr = out_nd.type.layout
    query_n = gl.load(Queries + gl.arange(0, ROWS, gl.SliceLayout(1, layout)))
    columns_d = FIRST + gl.arange(0, out_nd.shape[1], gl.SliceLayout(0, layout))
    gl.store(
        Out + query_n[:, None] * stride + columns_d[None, :],
        out_nd.to(Out.dtype.element_ty),
        mask=(query_n[:, None] >= 0) & (columns_d[None, :] < WIDTH),
    )


@gluon.jit
def _attend(
    Q, Out, Queries, Attract, Repel, scale, q_n, o_n, q1, q2, k1, k2, v1, v2, park1, park2,
    bars, both, Tiles, counts,
    WIDTH: gl.constexpr, WHICH: gl.constexpr, OVERLAP: gl.constexpr, ONES: gl.constexpr,
):  # fmt: skip
    """64 queries of one class, from their scores to their output."""
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
    count, up_top_n, up_shift_n, low_n, up_mass_n, up_1, up_2 = _visit(
        my_q1, my_q2, k1, k2, v1, v2, bars, Tiles, gl.to_tensor(0), up_ragged, up_whole,
        up_factor_n, low_n, WIDTH, OVERLAP, ONES, s_layout, o1_layout, o2_layout,
    )  # fmt: skip
    if park1 is not None:
        park1.index(WHICH).store(up_1)
    if park2 is not None:
        park2.index(WHICH).store(up_2)
    count, down_top_n, down_shift_n, low_n, down_mass_n, down_1, down_2 = _visit(
        my_q1, my_q2, k1, k2, v1, v2, bars, Tiles, count,
        down_ragged, down_whole, down_factor_n, low_n,
        WIDTH, OVERLAP, ONES, s_layout, o1_layout, o2_layout,
    )  # fmt: skip

    # The two signs together, as in `fused_kernel`.
    high_n = gl.maximum(up_top_n, down_top_n)
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
    _store(Out, Queries, o_n, _times(up_1, up_n) + _times(down_1, down_n), 0, WIDTH)
    if v2 is not None:
        if park2 is not None:
            up_2 = park2.index(WHICH).load(o2_layout)
        _store(Out, Queries, o_n, _times(up_2, up_n) + _times(down_2, down_n), V1, WIDTH)


@gluon.jit
def _shared(dtype: gl.constexpr, COUNT: gl.constexpr, M: gl.constexpr, D: gl.constexpr):
    layout: gl.constexpr = gl.NVMMASharedLayout.get_default_for([M, D], dtype)
    return gl.allocate_shared_memory(dtype, [COUNT, M, D], layout)


@gluon.jit
def _barriers(COUNT: gl.constexpr, ARRIVALS: gl.constexpr):
    bars = gl.allocate_shared_memory(gl.int64, [COUNT, 1], mbarrier.MBarrierLayout())
    for index in gl.static_range(COUNT):
        mbarrier.init(bars.index(index), ARRIVALS)
    return bars


@gluon.jit(
    do_not_specialize=[
        *("keys", "most_tiles", "q_b", "q_h", "q_n", "o_b", "o_h", "o_n"),
        *("queries_b", "classes_b", "tiles_b", "counts_b", "attract_b", "repel_b"),
    ]
)
def modulated_kernel(
    Q, k1_desc, k2_desc, v1_desc, v2_desc, Out,
    Queries, Classes, Tiles, Counts, Attract, Repel, scale, keys, most_tiles,
    q_b, q_h, q_n, o_b, o_h, o_n, queries_b, classes_b, tiles_b, counts_b, attract_b, repel_b,
    WIDTH: gl.constexpr, K2: gl.constexpr, V2: gl.constexpr, STAGES: gl.constexpr,
    PARK: gl.constexpr, OVERLAP: gl.constexpr, ONES: gl.constexpr,
):  # fmt: skip
    """128 queries of one head; ``scale`` has log2(e) in it and is not negative.

    Strides of query and output are in units of eight elements.
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
        Attract += batch * attract_b
        Repel += batch * repel_b
        first_row = (gl.program_id(2) * gl.num_programs(1) + gl.program_id(1)) * keys

        q1 = _shared(dtype, 2, ROWS, K1)
        k1 = _shared(dtype, STAGES, BLOCK_M, K1)
        v1 = _shared(dtype, STAGES, BLOCK_M, V1)
        if K2 > 0:
            q2 = _shared(dtype, 2, ROWS, K2)
            k2 = _shared(dtype, STAGES, BLOCK_M, K2)
        else:
            q2: gl.constexpr = None
            k2: gl.constexpr = None
        if V2 > 0:
            v2 = _shared(dtype, STAGES, BLOCK_M, V2)
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
            _barriers(STAGES, 1),
            _barriers(STAGES, 2),
            _barriers(STAGES, 1),
            _barriers(STAGES, 2),
        )
        barrier()

        gl.warp_specialize(
            [
                (_attend, (
                    Q, Out, Queries, Attract, Repel, scale, q_n, o_n,
                    q1, q2, k1, k2, v1, v2, park1, park2, bars, both, Tiles, counts,
                    WIDTH, 0, OVERLAP, ONES,
                )),
                (_attend, (
                    Q, Out, Queries, Attract, Repel, scale, q_n, o_n,
                    q1, q2, k1, k2, v1, v2, park1, park2, bars, both, Tiles, counts,
                    WIDTH, 1, OVERLAP, ONES,
                )),
                (_produce, (
                    k1_desc, k2_desc, v1_desc, v2_desc,
                    k1, k2, v1, v2, bars, Tiles, tiles, first_row,
                )),
            ],
            [4, 1],
            [240, 24],
        )  # fmt: skip
