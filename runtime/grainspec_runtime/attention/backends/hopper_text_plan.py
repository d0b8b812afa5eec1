"""What :mod:`.hopper_text_kernel` does for each block of queries, worked out before.

Dimensions: m keys of a tile, T tiles.
"""

# Kernels are not annotated: their values are those of Triton's compiler, which mypy does not know.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from grainspec_runtime.attention import class_order
from grainspec_runtime.attention.backends.kernel_inputs import batch_strides_of
from grainspec_runtime.attention.class_order import ClassOrder

MIXED, PARTLY = 5, 6
"""Kinds of tiles, beside the signs: keys of several signs, all of them modulated; or not all."""

NEUTRAL_KIND = tl.constexpr(class_order.NEUTRAL)
MASKED_KIND = tl.constexpr(class_order.MASKED)
MIXED_KIND = tl.constexpr(MIXED)
PARTLY_KIND = tl.constexpr(PARTLY)


@triton.jit(do_not_specialize=["queries_b", "classes_b", "signs_b", "keys"])
def plan_kernel(
    Queries, Classes, Signs, Plan, queries_b, classes_b, signs_b, keys,
    BLOCK: tl.constexpr, TILE: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """For a block of queries: its tiles in order (four bits each), what they are (three bits each:
    a sign, MIXED or
    PARTLY), how many there are, and the class.

    Tiles with modulated keys come first. Those of masked keys alone are left out.
    """
    block = tl.program_id(0)
    batch = tl.program_id(1).to(tl.int64)
    Queries += batch * queries_b + block * BLOCK
    leader = tl.load(Queries)
    label = tl.load(Classes + batch * classes_b + tl.maximum(leader, 0)).to(tl.int64)
    tile_t = tl.arange(0, TILES)
    place_tm = tile_t[:, None] * TILE + tl.arange(0, TILE)[None, :]
    Signs += batch * signs_b + label * keys
    sign_tm = tl.load(Signs + place_tm, mask=place_tm < keys, other=MASKED_KIND).to(tl.int32)
    least_t = tl.min(sign_tm, 1)
    most_t = tl.max(sign_tm, 1)
    kind_t = tl.where(
        least_t == most_t, least_t, tl.where(most_t < NEUTRAL_KIND, MIXED_KIND, PARTLY_KIND)
    )
    kind_t = tl.where(leader < 0, MASKED_KIND, kind_t)  # past the last query: nothing to do
    kinds = tl.sum(kind_t.to(tl.int64) << (3 * tile_t).to(tl.int64), 0)
    order = kinds * 0
    sorted_kinds = kinds * 0
    count = kinds * 0
    modulated = kinds * 0
    for visit in tl.static_range(2):
        for tile in range(TILES):
            kind = (kinds >> (3 * tile)) & 7
            if visit == 0:
                taken = ((kind != NEUTRAL_KIND) & (kind != MASKED_KIND)).to(tl.int64)
            else:
                taken = (kind == NEUTRAL_KIND).to(tl.int64)
            order += (taken * tile) << (4 * count)
            sorted_kinds += (taken * kind) << (3 * count)
            count += taken
        if visit == 0:
            modulated = count
    Plan += (batch * tl.num_programs(0) + block) * 4
    tl.store(Plan, order)
    tl.store(Plan + 1, sorted_kinds)
    tl.store(Plan + 2, modulated + count * 256)
    tl.store(Plan + 3, label)


def plan_of(order: ClassOrder, keys: int) -> Tensor:
    """The plan of every block, int64 ``[B, blocks, 4]``."""
    index = (order.queries_BS, order.classes_BN, order.signs_BCM)
    rows, blocks = len(order.queries_BS), order.queries_BS.shape[1] // class_order.BLOCK
    plan = torch.empty(rows, blocks, 4, dtype=torch.int64, device=order.queries_BS.device)
    plan_kernel[blocks, rows](
        *index, plan, *batch_strides_of(*index), keys, BLOCK=class_order.BLOCK,
        TILE=class_order.TILE,
        TILES=triton.next_power_of_2(triton.cdiv(keys, class_order.TILE)),
    )  # fmt: skip
    return plan
