"""What the Hopper kernel does with tiles of keys: scores, softmax, weighted values.

:func:`visit` runs over all keys of one sign. It overlaps the matrix products of a tile with the
exponentials of the one before, and keeps both in registers.

Head sizes are sums of at most two powers of two (80 = 64 + 16): what Triton can hold, with less
padding than the next power of two. So queries, keys, values and outputs come in two pieces, and the
second may be None.

Dimensions: n queries of a tile, m keys of a tile, d head size.
"""

# Kernels are not annotated: their values are those of Triton's compiler, which mypy does not know.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls
# mypy: disable-error-code="no-redef"

from __future__ import annotations

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    mbarrier,
    warpgroup_mma,
    warpgroup_mma_wait,
)

from grainspec_runtime.attention import class_order

HUGE = gl.constexpr(1e30)  # beyond every score, but finite: a difference of infinities is NaN
TILE = gl.constexpr(class_order.TILE)  # keys of a whole tile in the order's tables
ROWS = gl.constexpr(class_order.BLOCK // 2)  # queries of one group of warps


@gluon.jit
def _scores(q1, q2, k1, k2, stage, zeros_nm):
    s_nm = warpgroup_mma(
        q1, k1.index(stage).permute((1, 0)), zeros_nm, use_acc=False, is_async=True
    )
    if q2 is not None:
        s_nm = warpgroup_mma(q2, k2.index(stage).permute((1, 0)), s_nm, is_async=True)
    return s_nm


@gluon.jit
def packed(p_nm, dtype: gl.constexpr):
    """Pairs of neighbours as 32-bit words: halves would be taken apart between two tiles."""
    low, high = gl.split(p_nm.reshape([p_nm.shape[0], p_nm.shape[1] // 2, 2]))
    if dtype == gl.float16:
        ASM: gl.constexpr = "cvt.rn.f16x2.f32 $0, $2, $1;"
    else:
        ASM: gl.constexpr = "cvt.rn.bf16x2.f32 $0, $2, $1;"
    return gl.inline_asm_elementwise(ASM, "=r,f,f", [low, high], gl.int32, True, 1)


@gluon.jit
def unpacked(word, dtype: gl.constexpr, layout: gl.constexpr):
    """The operand of a matrix product that was packed."""
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
def times_rows(out_nd, factor_n):
    """Each row of a tile of outputs times its factor."""
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
    word = packed(p_nm, dtype)
    o1 = times_rows(o1, decay_n)
    if v2 is not None:
        o2 = times_rows(o2, decay_n)
    mbarrier.wait(v_full.index(stage), phase)
    p1_nm = unpacked(word, dtype, o1_layout)
    o1_tok = warpgroup_mma(p1_nm, v1.index(stage), o1, is_async=True)
    if v2 is not None:
        p2_nm = unpacked(word, dtype, o2_layout)
        o2_tok = warpgroup_mma(p2_nm, v2.index(stage), o2, is_async=True)
        o1, o2, p1_nm, p2_nm = warpgroup_mma_wait(0, deps=(o1_tok, o2_tok, p1_nm, p2_nm))
    else:
        o1, p1_nm = warpgroup_mma_wait(0, deps=(o1_tok, p1_nm))
    mbarrier.arrive(v_free.index(stage))
    return count + 1, top_n, shift_n, low_n, mass_n, o1, o2


@gluon.jit
def visit(
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
        word = packed(p_nm, dtype)
        o1 = times_rows(o1, decay_n)
        if v2 is not None:
            o2 = times_rows(o2, decay_n)
        mbarrier.wait(v_full.index(stage), phase)
        for _ in range(whole - 1):
            stage = count % STAGES
            count += 1
            next_stage = count % STAGES
            next_phase = (count // STAGES) & 1
            mbarrier.wait(k_full.index(next_stage), next_phase)
            s_tok = _scores(q1, q2, k1, k2, next_stage, zeros_nm)
            p1_nm = unpacked(word, dtype, o1_layout)
            o1_tok = warpgroup_mma(p1_nm, v1.index(stage), o1, is_async=True)
            if v2 is not None:
                p2_nm = unpacked(word, dtype, o2_layout)
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
            word = packed(p_nm, dtype)
            o1 = times_rows(o1, decay_n)
            if v2 is not None:
                o2 = times_rows(o2, decay_n)
        stage = count % STAGES
        p1_nm = unpacked(word, dtype, o1_layout)
        o1_tok = warpgroup_mma(p1_nm, v1.index(stage), o1, is_async=True)
        if v2 is not None:
            p2_nm = unpacked(word, dtype, o2_layout)
            o2_tok = warpgroup_mma(p2_nm, v2.index(stage), o2, is_async=True)
            o1, o2, p1_nm, p2_nm = warpgroup_mma_wait(0, deps=(o1_tok, o2_tok, p1_nm, p2_nm))
        else:
            o1, p1_nm = warpgroup_mma_wait(0, deps=(o1_tok, p1_nm))
        mbarrier.arrive(v_free.index(stage))
        count += 1
    if ONES:
        mass_n = _column(o1, WIDTH, row_s) if WIDTH < V1 else _column(o2, WIDTH - V1, row_s)
    return count, top_n, shift_n, low_n, mass_n, o1, o2
