"""The plan of the Hopper kernel for prompts, by Triton's interpreter; the kernel needs a GPU."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from grainspec_runtime.attention.class_order import (
    BLOCK,
    MASKED,
    NEUTRAL,
    POSITIVE,
    TILE,
    ClassOrder,
)

kernels = pytest.importorskip("grainspec_runtime.attention.backends.triton_kernel")
plans = pytest.importorskip("grainspec_runtime.attention.backends.hopper_text_plan")
pytestmark = pytest.mark.skipif(not kernels.INTERPRETED, reason="TRITON_INTERPRET is off")


def kinds_of(signs_M: Tensor) -> list[int]:
    """What each tile is, from its signs one by one."""
    kinds = []
    for tile in signs_M.split(TILE):
        held = {*tile.tolist()} | ({MASKED} if len(tile) < TILE else set())
        several = plans.MIXED if max(held) < NEUTRAL else plans.PARTLY
        kinds.append(held.pop() if len(held) == 1 else several)
    return kinds


@pytest.mark.parametrize("keys", [77, 226, 512, 1024, 2000])
def test_every_block_visits_what_its_class_sees(keys: int) -> None:
    generator = torch.Generator().manual_seed(keys)
    labels = torch.randint(5, (2, 640), generator=generator)
    none = torch.zeros(5, 1, dtype=torch.bool)
    order = ClassOrder.of(labels, torch.zeros(2, keys, dtype=torch.long), none)
    signs = order.signs_BCM
    signs.copy_(torch.randint(5, signs.shape, generator=generator))
    signs[:, 1], signs[:, 2] = NEUTRAL, MASKED
    signs[0, 3], signs[0, 4, TILE:], signs[1, 4, TILE:] = POSITIVE, NEUTRAL, MASKED
    plan = plans.plan_of(order, keys)
    for b in range(2):
        for block, (tiles, kinds, counts, label) in enumerate(plan[b].tolist()):
            leader = int(order.queries_BS[b, block * BLOCK])
            count, modulated = counts >> 8, counts & 255
            if leader < 0:
                assert count == modulated == 0
                continue
            assert label == labels[b, leader]
            kind_of = kinds_of(signs[b, label])
            first = [t for t, kind in enumerate(kind_of) if kind not in (NEUTRAL, MASKED)]
            visited = first + [t for t, kind in enumerate(kind_of) if kind == NEUTRAL]
            assert modulated == len(first)
            assert [tiles >> 4 * nth & 15 for nth in range(count)] == visited
            assert [kinds >> 3 * nth & 7 for nth in range(count)] == [kind_of[t] for t in visited]
