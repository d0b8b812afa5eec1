"""The kernel of the backend ``triton`` for a prompt's keys on Hopper GPUs.

It computes what :mod:`.triton_few_keys_kernel` computes, by the same equation: the scores of all
keys that are modulated once for a row's maximum and minimum, then those of all keys for the one
softmax, which then has nothing left to find. Keys stay in their order, and tiles that no query of a
class sees are left out (all masked), or need no extremes (all neutral).

A prompt is short, so a block of queries takes a few microseconds, and most of that would be
waiting. As many programs run as the GPU has multiprocessors, and each takes one block after the
other: while two groups of warps attend, 64 queries each, a third copies the tiles of what comes
next, and the next queries are on their way. What a block needs of each tile is worked out before,
by :mod:`.hopper_text_plan`.

Dimensions: n queries of a tile, m keys of a tile, d head size, T tiles.
"""

# Kernels are not annotated: their values are those of Triton's compiler, which mypy does not know.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls
# mypy: disable-error-code="no-redef"

from __future__ import annotations

import math
from functools import cache

import torch
import triton
from torch import Tensor
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.ampere import async_copy
from triton.experimental.gluon.language.nvidia.hopper import (
    fence_async_shared,
    mbarrier,
    warpgroup_mma,
    warpgroup_mma_wait,
)
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

from grainspec_runtime.attention import class_order
from grainspec_runtime.attention.backends.hopper_kernel import (
    DTYPES,
    barrier,
    barriers,
    copy_tile,
    shared,
    store,
)
from grainspec_runtime.attention.backends.hopper_text_plan import plan_of
from grainspec_runtime.attention.backends.hopper_text_tiles import extremes, weights
from grainspec_runtime.attention.backends.hopper_tiles import (
    HUGE,
    ROWS,
    TILE,
    packed,
    times_rows,
    unpacked,
)
from grainspec_runtime.attention.backends.kernel_inputs import batch_strides_of, strides_of
from grainspec_runtime.attention.call import AttentionCall


@gluon.jit
def _planned(Plan, plan_b, item, blocks, heads):
    """What an item of work is: the plan of its block."""
    Plan += (item // (blocks * heads) * plan_b + item % blocks) * 4
    return gl.load(Plan), gl.load(Plan + 1), gl.load(Plan + 2), gl.load(Plan + 3)


@gluon.jit
def _queries_of(Queries, queries_b, item, blocks, heads):
    return Queries + item // (blocks * heads) * queries_b + item % blocks * (2 * ROWS)


@gluon.jit
def _head_of(base, stride_b, stride_h, item, blocks, heads):
    batch = (item // (blocks * heads)).to(gl.int64)
    return base + (batch * stride_b + (item // blocks % heads).to(gl.int64) * stride_h) * 8


@gluon.jit
def _first_key(order, nth):
    return ((order >> (4 * nth)) & 15).to(gl.int32) * TILE


@gluon.jit
def _copy(desc, bar, smem, batch, head, first):
    mbarrier.expect(bar, TILE * smem.shape[3] * smem.dtype.primitive_bitwidth // 8)
    copy_tile(desc, [batch, head, first, 0], bar, smem)


@gluon.jit
def _produce(k_desc, v_desc, k, v, bars, Plan, plan_b, items, blocks, heads, SINGLE: gl.constexpr):
    """The tiles of keys and values of every item, in turn, to the shared memory that is free."""
    STAGES: gl.constexpr = k.shape[0]
    k_full, k_free, v_full, v_free = bars
    k_count = gl.to_tensor(0)
    v_count = gl.to_tensor(0)
    for item in range(gl.program_id(0), items, gl.num_programs(0)):
        head = item // blocks % heads
        batch = item // (blocks * heads)
        order, _, counts, _ = _planned(Plan, plan_b, item, blocks, heads)
        modulated = (counts & 255).to(gl.int32)
        tiles = ((counts >> 8) & 255).to(gl.int32)
        if SINGLE:
            modulated *= 0
        for nth in range(modulated + tiles):
            stage = k_count % STAGES
            mbarrier.wait(k_free.index(stage), (k_count // STAGES & 1) ^ 1)
            nth_of_two = nth - modulated * (nth >= modulated).to(gl.int32)
            first = _first_key(order, nth_of_two)
            _copy(k_desc, k_full.index(stage), k.index(stage), batch, head, first)
            k_count += 1
            if nth >= modulated:
                stage = v_count % STAGES
                mbarrier.wait(v_free.index(stage), (v_count // STAGES & 1) ^ 1)
                _copy(v_desc, v_full.index(stage), v.index(stage), batch, head, first)
                v_count += 1


@gluon.jit
def _fetch(smem, Q, query_n, stride):
    """Start to copy rows of queries to shared memory."""
    D: gl.constexpr = smem.shape[1]
    layout: gl.constexpr = _rows_layout(D)
    columns_d = gl.arange(0, D, gl.SliceLayout(0, layout))
    places = Q + gl.maximum(query_n, 0)[:, None] * stride + columns_d[None, :]
    async_copy.async_copy_global_to_shared(smem, places)
    async_copy.commit_group()


@gluon.jit
def _strengths(Attract, Repel, row_n, scale):
    row_n = gl.maximum(row_n, 0)
    return scale * gl.load(Attract + row_n), scale * gl.load(Repel + row_n)


@gluon.constexpr_function
def _rows_layout(D):
    return gl.BlockedLayout([1, 8], [256 // D, D // 8], [4, 1], [1, 0])


@gluon.jit
def _start_scores(q, k, zeros_nm):
    k_md = k.reshape([k.shape[2], k.shape[3]])
    return warpgroup_mma(q, k_md.permute((1, 0)), zeros_nm, use_acc=False, is_async=True)


@gluon.jit
def _start_sum(word, v, acc):
    dtype: gl.constexpr = v.dtype
    layout: gl.constexpr = acc.type.layout
    p_nm = unpacked(word, dtype, layout)
    return warpgroup_mma(p_nm, v.reshape([v.shape[2], v.shape[3]]), acc, is_async=True), p_nm


@gluon.jit
def _attend(
    Q, Out, Queries, Attract, Repel, Signs, Plan, soft_share, scale, keys,
    q_b, q_h, q_n, o_b, o_h, o_n, queries_b, signs_b, attract_b, repel_b, plan_b,
    q, k, v, bars, items, blocks, heads,
    WHICH: gl.constexpr, SINGLE: gl.constexpr,
):  # fmt: skip
    """64 queries of each block, from their scores to their output."""
    STAGES: gl.constexpr = k.shape[0]
    D: gl.constexpr = q.shape[2]
    dtype: gl.constexpr = k.dtype
    s_layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, TILE, 16])
    o_layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, D, 16])
    row_s: gl.constexpr = gl.SliceLayout(1, s_layout)
    k_full, k_free, v_full, v_free = bars
    Queries += WHICH * ROWS
    place_n = gl.arange(0, ROWS, row_s)
    fetched_n = gl.arange(0, ROWS, gl.SliceLayout(1, _rows_layout(D)))
    zeros_nm = gl.zeros([ROWS, TILE], gl.float32, s_layout)
    step = gl.num_programs(0)
    k_count = gl.to_tensor(0)
    v_count = gl.to_tensor(0)
    turn = gl.to_tensor(0)

    item = gl.program_id(0)
    order, kinds, counts, label = _planned(Plan, plan_b, item, blocks, heads)
    block_queries = _queries_of(Queries, queries_b, item, blocks, heads)
    first_q = _head_of(Q, q_b, q_h, item, blocks, heads)
    _fetch(q.index(2 * WHICH), first_q, gl.load(block_queries + fetched_n), q_n)
    next_queries = _queries_of(
        Queries, queries_b, gl.minimum(item + step, items - 1), blocks, heads
    )
    next_query_n = gl.load(next_queries + fetched_n)
    batch = item // (blocks * heads)
    attract_n, repel_n = _strengths(
        Attract + batch * attract_b,
        Repel + batch * repel_b,
        gl.load(block_queries + place_n),
        scale,
    )
    next_row_n = gl.load(next_queries + place_n)
    for item in range(gl.program_id(0), items, step):
        batch = item // (blocks * heads)
        block_queries = _queries_of(Queries, queries_b, item, blocks, heads)
        modulated = (counts & 255).to(gl.int32)
        tiles = ((counts >> 8) & 255).to(gl.int32)
        if SINGLE:
            modulated *= 0
        async_copy.wait_group(0)
        fence_async_shared()
        barrier()
        my_q = q.index(2 * WHICH + turn)
        # The next item's queries, and whatever tells where those of the one after it are.
        turn = 1 - turn
        next_item = gl.minimum(item + step, items - 1)
        next_q = _head_of(Q, q_b, q_h, next_item, blocks, heads)
        _fetch(q.index(2 * WHICH + turn), next_q, next_query_n, q_n)
        next_plan = _planned(Plan, plan_b, next_item, blocks, heads)
        later = gl.minimum(next_item + step, items - 1)
        next_queries = _queries_of(Queries, queries_b, later, blocks, heads)
        next_query_n = gl.load(next_queries + fetched_n)
        next_batch = next_item // (blocks * heads)
        next_attract_n, next_repel_n = _strengths(
            Attract + next_batch * attract_b, Repel + next_batch * repel_b, next_row_n, scale
        )
        next_row_n = gl.load(next_queries + place_n)

        my_signs = Signs + batch * signs_b + label * keys
        high_n = gl.full([ROWS], -HUGE, gl.float32, row_s)
        low_n = gl.full([ROWS], HUGE, gl.float32, row_s)
        most_n = gl.full([ROWS], -0.1 * HUGE, gl.float32, row_s)  # more than a masked key's
        mass_n = gl.zeros([ROWS], gl.float32, row_s)
        acc = gl.zeros([ROWS, D], gl.float32, o_layout)
        if tiles > 0:
            first = _first_key(order, 0)
            kind = (kinds & 7).to(gl.int32)
            for nth in range(modulated):
                stage = k_count % STAGES
                mbarrier.wait(k_full.index(stage), k_count // STAGES & 1)
                s_tok = _start_scores(my_q, k.index(stage), zeros_nm)
                s_nm = warpgroup_mma_wait(0, deps=(s_tok,))
                mbarrier.arrive(k_free.index(stage))
                k_count += 1
                high_n, low_n = extremes(
                    s_nm, ((kinds >> (3 * nth)) & 7).to(gl.int32), my_signs,
                    _first_key(order, nth), keys, high_n, low_n,
                )  # fmt: skip
            stage = k_count % STAGES
            mbarrier.wait(k_full.index(stage), k_count // STAGES & 1)
            s_tok = _start_scores(my_q, k.index(stage), zeros_nm)
            s_nm = warpgroup_mma_wait(0, deps=(s_tok,))
            mbarrier.arrive(k_free.index(stage))
            k_count += 1
            if SINGLE:
                high_n, low_n = extremes(s_nm, kind, my_signs, first, keys, high_n, low_n)
            high_n = gl.where(high_n > -HUGE, high_n, 0.0)  # without a modulated key
            rows = (high_n, attract_n, repel_n, repel_n * (low_n - high_n))
            p_nm, decay_n, most_n, mass_n = weights(
                s_nm, kind, my_signs, first, keys, rows, soft_share, scale, most_n, mass_n
            )
            word = packed(p_nm, dtype)
            mbarrier.wait(v_full.index(v_count % STAGES), v_count // STAGES & 1)
            for nth in range(1, tiles):
                stage = k_count % STAGES
                mbarrier.wait(k_full.index(stage), k_count // STAGES & 1)
                s_tok = _start_scores(my_q, k.index(stage), zeros_nm)
                v_stage = v_count % STAGES
                tok, held = _start_sum(word, v.index(v_stage), acc)
                s_nm = warpgroup_mma_wait(1, deps=(s_tok,))
                mbarrier.arrive(k_free.index(stage))
                k_count += 1
                p_nm, decay_n, most_n, mass_n = weights(
                    s_nm, ((kinds >> (3 * nth)) & 7).to(gl.int32), my_signs,
                    _first_key(order, nth), keys, rows, soft_share, scale, most_n, mass_n,
                )  # fmt: skip
                v_count += 1
                mbarrier.wait(v_full.index(v_count % STAGES), v_count // STAGES & 1)
                acc, held = warpgroup_mma_wait(0, deps=(tok, held))
                mbarrier.arrive(v_free.index(v_stage))
                word = packed(p_nm, dtype)
                acc = times_rows(acc, decay_n)
            v_stage = v_count % STAGES
            tok, held = _start_sum(word, v.index(v_stage), acc)
            acc, held = warpgroup_mma_wait(0, deps=(tok, held))
            mbarrier.arrive(v_free.index(v_stage))
            v_count += 1
        mass_n = gl.where(mass_n > 0, mass_n, 1.0)  # no key at all: zeros
        to = _head_of(Out, o_b, o_h, item, blocks, heads)
        store(to, block_queries, o_n, times_rows(acc, 1 / mass_n), 0, D)
        order, kinds, counts, label = next_plan
        attract_n = next_attract_n
        repel_n = next_repel_n


@gluon.jit(
    do_not_specialize=[
        *("q_b", "q_h", "q_n", "o_b", "o_h", "o_n", "queries_b", "signs_b", "attract_b"),
        *("repel_b", "plan_b", "items", "blocks", "heads", "keys"),
    ]
)
def text_kernel(
    Q, k_desc, v_desc, Out, Queries, Attract, Repel, Signs, Plan, soft_share, scale, keys,
    q_b, q_h, q_n, o_b, o_h, o_n, queries_b, signs_b, attract_b, repel_b, plan_b,
    items, blocks, heads,
    D: gl.constexpr, STAGES: gl.constexpr, SINGLE: gl.constexpr,
):  # fmt: skip
    """Blocks of 128 queries, one after the other; ``scale`` has log2(e) in it, and is not negative.

    Strides of query and output are in units of eight elements.
    """
    dtype: gl.constexpr = Q.dtype.element_ty
    q = shared(dtype, 4, ROWS, D)
    layout: gl.constexpr = gl.NVMMASharedLayout.get_default_for([1, 1, TILE, D], dtype)
    k = gl.allocate_shared_memory(dtype, [STAGES, 1, 1, TILE, D], layout)
    v = gl.allocate_shared_memory(dtype, [STAGES, 1, 1, TILE, D], layout)
    bars = (barriers(STAGES, 1), barriers(STAGES, 2), barriers(STAGES, 1), barriers(STAGES, 2))
    barrier()
    q_n, o_n = q_n * 8, o_n * 8
    gl.warp_specialize(
        [
            (_attend, (
                Q, Out, Queries, Attract, Repel, Signs, Plan, soft_share, scale, keys,
                q_b, q_h, q_n, o_b, o_h, o_n, queries_b, signs_b, attract_b, repel_b, plan_b,
                q, k, v, bars, items, blocks, heads, 0, SINGLE,
            )),
            (_attend, (
                Q, Out, Queries, Attract, Repel, Signs, Plan, soft_share, scale, keys,
                q_b, q_h, q_n, o_b, o_h, o_n, queries_b, signs_b, attract_b, repel_b, plan_b,
                q, k, v, bars, items, blocks, heads, 1, SINGLE,
            )),
            (_produce, (k_desc, v_desc, k, v, bars, Plan, plan_b, items, blocks, heads, SINGLE)),
        ],
        [4, 1],
        [240, 24],
    )  # fmt: skip


@cache
def _programs(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count


def launch(call: AttentionCall) -> Tensor:
    """The result of a prepared call, ``[B, H, N, d]``, float16 or bfloat16."""
    query, order = call.query, call.class_order()
    rows, blocks = len(order.queries_BS), order.queries_BS.shape[1] // class_order.BLOCK
    tiles = triton.cdiv(call.keys, class_order.TILE)
    out = torch.empty_like(query)
    items = blocks * call.heads * call.batch
    text_kernel[(min(items, _programs(query.device)),)](
        query, _described(call.key), _described(call.value), out,
        order.queries_BS, call.attract, call.repel, order.signs_BCM, plan_of(order, call.keys),
        0.0 if call.soft is None else call.soft_share, call.scale * math.log2(math.e), call.keys,
        *strides_of(query, out),
        *batch_strides_of(order.queries_BS, order.signs_BCM, call.attract, call.repel),
        blocks if rows > 1 else 0, items, blocks, call.heads,
        D=call.width, STAGES=2 if call.width > 64 else 3, SINGLE=tiles == 1,
        num_warps=4,
    )  # fmt: skip
    return out


def _described(tensor: Tensor) -> TensorDescriptor:
    block = [1, 1, class_order.TILE, tensor.shape[-1]]
    layout = gl.NVMMASharedLayout.get_default_for(block, DTYPES[tensor.dtype])
    return TensorDescriptor.from_tensor(tensor, block, layout)
