"""What :mod:`.hopper_text_kernel` does with the scores of a tile of keys.

Dimensions: n queries of a tile, m keys of a tile.
"""

# Kernels are not annotated: their values are those of Triton's compiler, which mypy does not know.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls

from __future__ import annotations

from triton.experimental import gluon
from triton.experimental.gluon import language as gl

from grainspec_runtime.attention import class_order
from grainspec_runtime.attention.backends import hopper_text_plan
from grainspec_runtime.attention.backends.hopper_tiles import HUGE, TILE

NEGATIVE = gl.constexpr(class_order.NEGATIVE)
POSITIVE = gl.constexpr(class_order.POSITIVE)
SOFT = gl.constexpr(class_order.SOFT)
NEUTRAL = gl.constexpr(class_order.NEUTRAL)
MASKED = gl.constexpr(class_order.MASKED)
MIXED = gl.constexpr(hopper_text_plan.MIXED)
PARTLY = gl.constexpr(hopper_text_plan.PARTLY)


@gluon.jit
def _signs(Signs, first, keys):
    """The signs of a tile's keys, one for each thread: what is derived from them is shared."""
    place_m = first + gl.arange(0, TILE, gl.BlockedLayout([1], [32], [4], [0]))
    return gl.load(Signs + place_m, mask=place_m < keys, other=MASKED)


@gluon.jit
def _for_rows(number_m, layout: gl.constexpr):
    return gl.convert_layout(number_m, gl.SliceLayout(0, layout))[None, :]


@gluon.jit
def extremes(s_nm, kind, Signs, first, keys, high_n, low_n):
    """Of the scores of positive, negative and soft keys."""
    if kind == PARTLY:
        layout: gl.constexpr = s_nm.type.layout
        away_m = gl.where(_signs(Signs, first, keys) < NEUTRAL, 0.0, HUGE)
        away_1m = _for_rows(away_m, layout)
        high_n = gl.maximum(high_n, gl.max(s_nm - away_1m, 1))
        low_n = gl.minimum(low_n, gl.min(s_nm + away_1m, 1))
    else:
        high_n = gl.maximum(high_n, gl.max(s_nm, 1))
        low_n = gl.minimum(low_n, gl.min(s_nm, 1))
    return high_n, low_n


@gluon.jit
def weights(s_nm, kind, Signs, first, keys, rows, soft_share, scale, most_n, mass_n):
    """Exponentials of modulated scores less the largest one yet, and the factor of earlier ones.

    How a key is pulled are two numbers, by its sign: up (1 for a positive key) and down (1 for a
    negative one, the share for a soft one). So there is nothing to choose for a pair.
    """
    high_n, attract_n, repel_n, low_n = rows
    if kind >= MIXED:
        layout: gl.constexpr = s_nm.type.layout
        sign_m = _signs(Signs, first, keys)
        up_1m = _for_rows(gl.where(sign_m == POSITIVE, 1.0, 0.0), layout)
        down_m = gl.where(sign_m == NEGATIVE, 1.0, gl.where(sign_m == SOFT, soft_share, 0.0))
        down_1m = _for_rows(down_m, layout)
        e_nm = (s_nm - high_n[:, None]) * (
            scale - attract_n[:, None] * up_1m - repel_n[:, None] * down_1m
        )
        e_nm += low_n[:, None] * down_1m
        if kind == PARTLY:
            e_nm += _for_rows(gl.where(sign_m == MASKED, -HUGE, 0.0), layout)
        new_most_n = gl.maximum(most_n, gl.max(e_nm, 1))
        p_nm = gl.exp2(e_nm - new_most_n[:, None])
    else:
        up = gl.where(kind == POSITIVE, 1.0, 0.0)
        down = gl.where(kind == NEGATIVE, 1.0, gl.where(kind == SOFT, soft_share, 0.0))
        factor_n = scale - attract_n * up - repel_n * down
        add_n = low_n * down
        top_n = (gl.max(s_nm, 1) - high_n) * factor_n + add_n
        new_most_n = gl.maximum(most_n, top_n)
        add_n -= new_most_n + high_n * factor_n
        p_nm = gl.exp2(s_nm * factor_n[:, None] + add_n[:, None])
    decay_n = gl.exp2(most_n - new_most_n)
    return p_nm, decay_n, new_most_n, mass_n * decay_n + gl.sum(p_nm, 1)
