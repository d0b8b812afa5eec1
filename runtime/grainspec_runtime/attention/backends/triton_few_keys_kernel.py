"""The kernel of the backend ``triton`` for few keys (a prompt's) and for soft keys.

A program holds a block of queries of one class, and leaves the keys in their order. It finds the
row's maximum and minimum first; what remains is one softmax, of equation (2) in
:mod:`grainspec_runtime.attention.operator`.

Up to one tile of keys (77 tokens) the scores stay in registers; beyond that they are computed
twice, once for the extremes and once for the softmax.

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

from grainspec_runtime.attention import class_order
from grainspec_runtime.attention.backends.kernel_inputs import batch_strides_of, strides_of
from grainspec_runtime.attention.call import AttentionCall

# Beyond every score, but finite: a difference of two infinities is NaN.
HUGE = tl.constexpr(1e30)

POSITIVE = tl.constexpr(class_order.POSITIVE)
SOFT = tl.constexpr(class_order.SOFT)
NEUTRAL = tl.constexpr(class_order.NEUTRAL)  # this and the next are not modulated
MASKED = tl.constexpr(class_order.MASKED)


@triton.jit
def _tile(base, stride, start, keys, WIDTH: tl.constexpr, D: tl.constexpr, BLOCK_M: tl.constexpr):
    """Keys or values, ``[m, d]``, with zeros past the last."""
    place_m = start + tl.arange(0, BLOCK_M)
    columns_d = tl.arange(0, D)
    return tl.load(
        base + place_m[:, None] * stride + columns_d[None, :],
        mask=(place_m < keys)[:, None] & (columns_d < WIDTH)[None, :],
        other=0.0,
    )


@triton.jit
def _signs(Signs, start, keys, BLOCK_M: tl.constexpr):
    place_m = start + tl.arange(0, BLOCK_M)
    return tl.load(Signs + place_m, mask=place_m < keys, other=MASKED).to(tl.int32)


@triton.jit
def _extremes(s_nm, sign_m, high_n, low_n):
    """Of the scores of positive, negative and soft keys."""
    modulated_1m = (sign_m < NEUTRAL)[None, :]
    high_n = tl.maximum(high_n, tl.max(tl.where(modulated_1m, s_nm, -HUGE), 1))
    low_n = tl.minimum(low_n, tl.min(tl.where(modulated_1m, s_nm, HUGE), 1))
    return high_n, low_n


@triton.jit
def _exponents(
    s_nm, sign_m, high_n, up_factor_n, down_factor_n, soft_factor_n, scale, down_add_n, soft_add_n,
    HAS_SOFT: tl.constexpr, HAS_NEUTRAL: tl.constexpr,
):  # fmt: skip
    """Modulated scores less the row's maximum, as powers of two."""
    up_1m = (sign_m == POSITIVE)[None, :]
    factor_nm = tl.where(up_1m, up_factor_n[:, None], down_factor_n[:, None])
    add_nm = tl.where(up_1m, 0.0, down_add_n[:, None])
    if HAS_SOFT:
        soft_1m = (sign_m == SOFT)[None, :]
        factor_nm = tl.where(soft_1m, soft_factor_n[:, None], factor_nm)
        add_nm = tl.where(soft_1m, soft_add_n[:, None], add_nm)
    if HAS_NEUTRAL:
        neutral_1m = (sign_m == NEUTRAL)[None, :]
        factor_nm = tl.where(neutral_1m, scale, factor_nm)
        add_nm = tl.where(neutral_1m, 0.0, add_nm)
    e_nm = tl.fma(s_nm - high_n[:, None], factor_nm, add_nm)
    return tl.where((sign_m == MASKED)[None, :], -HUGE, e_nm)


@triton.jit(
    do_not_specialize=[
        *("keys", "q_b", "q_h", "q_n", "k_b", "k_h", "k_m", "v_b", "v_h", "v_m"),
        *("o_b", "o_h", "o_n", "queries_b", "classes_b", "signs_b", "attract_b", "repel_b"),
    ]
)
def few_keys_kernel(
    Q, K, V, Out, Queries, Classes, Signs, Attract, Repel, soft_share, scale, keys,
    q_b, q_h, q_n, k_b, k_h, k_m, v_b, v_h, v_m, o_b, o_h, o_n,
    queries_b, classes_b, signs_b, attract_b, repel_b,
    WIDTH: tl.constexpr, D: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_M: tl.constexpr,
    PRECISION: tl.constexpr, SINGLE: tl.constexpr, STAGES: tl.constexpr,
    HAS_SOFT: tl.constexpr, HAS_NEUTRAL: tl.constexpr,
):  # fmt: skip
    """A block of queries of one head; ``scale`` has log2(e) in it and is not negative.

    Strides of query, key, value and output are in units of eight elements.
    """
    head = tl.program_id(1).to(tl.int64)
    batch = tl.program_id(2).to(tl.int64)
    Queries += batch * queries_b + tl.program_id(0) * BLOCK_N
    leader = tl.load(Queries)
    if leader < 0:  # past the last query of its class
        return
    label = tl.load(Classes + batch * classes_b + leader).to(tl.int64)
    Signs += batch * signs_b + label * keys
    q_n, k_m, v_m, o_n = q_n * 8, k_m * 8, v_m * 8, o_n * 8
    Q += (batch * q_b + head * q_h) * 8
    K += (batch * k_b + head * k_h) * 8
    V += (batch * v_b + head * v_h) * 8
    Out += (batch * o_b + head * o_h) * 8

    query_n = tl.load(Queries + tl.arange(0, BLOCK_N))
    real_n = query_n >= 0
    query_n = tl.maximum(query_n, 0)
    columns_d = tl.arange(0, D)
    inside_nd = real_n[:, None] & (columns_d < WIDTH)[None, :]
    q_nd = tl.load(Q + query_n[:, None] * q_n + columns_d[None, :], mask=inside_nd, other=0.0)
    attract_n = tl.load(Attract + batch * attract_b + query_n)
    repel_n = tl.load(Repel + batch * repel_b + query_n)

    high_n = tl.full([BLOCK_N], -HUGE, tl.float32)
    low_n = tl.full([BLOCK_N], HUGE, tl.float32)
    if SINGLE:
        k_md = _tile(K, k_m, 0, keys, WIDTH, D, BLOCK_M)
        v_md = _tile(V, v_m, 0, keys, WIDTH, D, BLOCK_M)
        sign_m = _signs(Signs, 0, keys, BLOCK_M)
        s_nm = tl.dot(q_nd, k_md.T, input_precision=PRECISION)
        high_n, low_n = _extremes(s_nm, sign_m, high_n, low_n)
    else:
        for start in tl.range(0, keys, BLOCK_M, num_stages=STAGES):
            k_md = _tile(K, k_m, start, keys, WIDTH, D, BLOCK_M)
            sign_m = _signs(Signs, start, keys, BLOCK_M)
            s_nm = tl.dot(q_nd, k_md.T, input_precision=PRECISION)
            high_n, low_n = _extremes(s_nm, sign_m, high_n, low_n)

    high_n = tl.where(high_n > -HUGE, high_n, 0.0)  # without a modulated key
    up_factor_n = (1 - attract_n) * scale
    down_factor_n = (1 - repel_n) * scale
    soft_factor_n = (1 - soft_share * repel_n) * scale
    down_add_n = scale * repel_n * (low_n - high_n)
    soft_add_n = soft_share * down_add_n
    # More than a masked key has, so that those of a row without another weigh nothing.
    most_n = tl.full([BLOCK_N], -0.1 * HUGE, tl.float32)
    if SINGLE:
        e_nm = _exponents(
            s_nm, sign_m, high_n, up_factor_n, down_factor_n, soft_factor_n, scale,
            down_add_n, soft_add_n, HAS_SOFT, HAS_NEUTRAL,
        )  # fmt: skip
        most_n = tl.maximum(most_n, tl.max(e_nm, 1))
        p_nm = tl.exp2(e_nm - most_n[:, None])
        mass_n = tl.sum(p_nm, 1)
        acc_nd = tl.dot(p_nm.to(v_md.dtype), v_md, input_precision=PRECISION)
    else:
        mass_n = tl.zeros([BLOCK_N], tl.float32)
        acc_nd = tl.zeros([BLOCK_N, D], tl.float32)
        for start in tl.range(0, keys, BLOCK_M, num_stages=STAGES):
            k_md = _tile(K, k_m, start, keys, WIDTH, D, BLOCK_M)
            v_md = _tile(V, v_m, start, keys, WIDTH, D, BLOCK_M)
            sign_m = _signs(Signs, start, keys, BLOCK_M)
            s_nm = tl.dot(q_nd, k_md.T, input_precision=PRECISION)
            e_nm = _exponents(
                s_nm, sign_m, high_n, up_factor_n, down_factor_n, soft_factor_n, scale,
                down_add_n, soft_add_n, HAS_SOFT, HAS_NEUTRAL,
            )  # fmt: skip
            new_most_n = tl.maximum(most_n, tl.max(e_nm, 1))
            decay_n = tl.exp2(most_n - new_most_n)
            most_n = new_most_n
            p_nm = tl.exp2(e_nm - most_n[:, None])
            mass_n = mass_n * decay_n + tl.sum(p_nm, 1)
            acc_nd = acc_nd * decay_n[:, None]
            acc_nd = tl.dot(p_nm.to(v_md.dtype), v_md, acc_nd, input_precision=PRECISION)
    mass_n = tl.where(mass_n > 0, mass_n, 1.0)  # no key at all: zeros
    out_nd = (acc_nd / mass_n[:, None]).to(Out.dtype.element_ty)
    tl.store(Out + query_n[:, None] * o_n + columns_d[None, :], out_nd, mask=inside_nd)


def launch(call: AttentionCall, *, small_tiles: bool = False) -> Tensor:
    """The result of a prepared call, ``[B, H, N, d]``; ``small_tiles`` for little shared memory."""
    query, order = call.query, call.class_order()
    padded = max(32, triton.next_power_of_2(call.width))
    small = small_tiles or padded * query.element_size() > 512  # float32 heads beyond 128
    block = 32 if small else 64
    block_keys = 32 if small else 128
    if call.keys > block_keys:
        block_keys = min(64, block_keys)
    stages = 2 if call.keys > block_keys and padded * query.element_size() <= 256 else 1
    out = torch.empty_like(query)
    index = (order.queries_BS, order.classes_BN, order.signs_BCM)
    few_keys_kernel[order.queries_BS.shape[1] // block, call.heads, call.batch](
        query, call.key, call.value, out, *index, call.attract, call.repel,
        0.0 if call.soft is None else call.soft_share, call.scale * math.log2(math.e), call.keys,
        *strides_of(query, call.key, call.value, out),
        *batch_strides_of(*index, call.attract, call.repel),
        WIDTH=call.width, D=padded, BLOCK_N=block,
        BLOCK_M=min(block_keys, max(32, triton.next_power_of_2(call.keys))),
        SINGLE=call.keys <= block_keys, STAGES=stages,
        HAS_SOFT=call.soft is not None, HAS_NEUTRAL=call.neutral is not None,
        PRECISION="ieee" if query.dtype == torch.float32 else "tf32",
        num_warps=8 if padded > 128 else 4, num_stages=stages,
    )  # fmt: skip
    return out
