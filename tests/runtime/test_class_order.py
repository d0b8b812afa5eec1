"""`check_attention` finds faults of the class order, through backends that read nothing else.

Each reads the order as one of the fused kernels does, in plain torch on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from planted import planted
from torch import Tensor

from grainspec.testing import Broken
from grainspec_runtime.attention import ClassOrder, class_order
from grainspec_runtime.attention.backends.backend import Backend
from grainspec_runtime.attention.call import AttentionCall
from grainspec_runtime.attention.class_order import (
    MASKED,
    NEGATIVE,
    NEUTRAL,
    POSITIVE,
    PRESENT,
    TILE,
)
from grainspec_runtime.testing import check_attention

Keys = tuple[Tensor, Tensor]
"""The keys that a block of queries visits, and the sign of each."""

Visit = Callable[[ClassOrder, int, int], Keys]


def positive_first(order: ClassOrder, b: int, label: int) -> Keys:
    """As the portable kernel: an index of keys, the positive ones first."""
    keys, count = order.keys_BCM[b, label], int(order.positives_BC[b, label])
    return keys, torch.where(torch.arange(len(keys)) < count, POSITIVE, NEGATIVE)


def by_sign(order: ClassOrder, b: int, label: int) -> Keys:
    """As the portable kernel where keys have all signs: an index of keys, one sign after another."""
    ends = order.ends_BC4[b, label].tolist()
    starts = [0, *ends[:-1]]
    signs = [
        torch.full((end - start,), sign)
        for sign, start, end in zip(PRESENT, starts, ends, strict=True)
    ]
    return order.keys_BCM[b, label, : ends[-1]], torch.cat(signs)


def as_they_are(order: ClassOrder, b: int, label: int) -> Keys:
    """As the kernel for few keys: a sign for every key."""
    signs = order.signs_BCM[b, label].long()
    present = (signs != MASKED).nonzero()[:, 0]
    return present, signs[present]


def by_tiles(order: ClassOrder, b: int, label: int) -> Keys:
    """As the Hopper kernel: tiles of keys sorted by class, ragged and whole ones."""
    counts = order.counts_BC4[b, label].tolist()
    groups = [group for group, count in enumerate(counts) for _ in range(count)]
    keys, signs = [], []
    for group, entry in zip(groups, order.tiles_BCT[b, label].tolist(), strict=False):
        first, length = entry // TILE, entry % TILE + 1
        assert (length == TILE) == (group % 2 == 1), "a whole tile is no ragged one"
        part = order.sorted_BM[b, first : first + length]
        keys.append(part)
        signs.append(torch.full_like(part, NEGATIVE if group // 2 else POSITIVE))
    return torch.cat(keys), torch.cat(signs)


def run(call: AttentionCall, visit: Visit) -> Tensor:
    order, (query, key, value) = call.class_order(), (call.query, call.key, call.value)
    assert all(tensor.is_contiguous() for tensor in order.tensors())
    out = torch.full(query.shape, torch.nan)
    for b in range(call.batch):
        entry = b if len(order.queries_BS) > 1 else 0
        for block in order.queries_BS[entry].split(64):
            leader, rows = int(block[0]), block[block >= 0].long()
            assert out[b][:, rows].isnan().all(), "a query is in two blocks"
            if leader < 0:  # past the last query of its class
                continue
            keys, signs = visit(order, entry, int(order.classes_BN[entry, leader]))
            if not len(keys):
                out[b][:, rows] = 0
                continue
            s = call.scale * query[b][:, rows].float() @ key[b][:, keys].float().mT
            neutral = signs == NEUTRAL
            mx = s.masked_fill(neutral, -torch.inf).amax(-1, keepdim=True)
            mn = s.masked_fill(neutral, torch.inf).amin(-1, keepdim=True)
            up, down = call.attract[b, rows, None], call.repel[b, rows, None]
            share = torch.where(signs == NEGATIVE, 1.0, call.soft_share)
            moved = torch.where(signs == POSITIVE, s + up * (mx - s), s + down * share * (mn - s))
            moved = torch.where(neutral, s, moved)
            out[b][:, rows] = moved.softmax(-1) @ value[b][:, keys].float()
    return out.to(query.dtype)


def backend(visit: Visit) -> Backend:
    all_signs = frozenset({"soft", "neutral", "masked"})
    features = all_signs if visit in {as_they_are, by_sign} else frozenset()
    return Backend("mine", partial(run, visit=visit), features=features)


def check(visit: Visit, examples: int = 0) -> None:
    few = ("shape", "finite", "equal", "order")
    check_attention(
        backend(visit), widths=(16,), dtypes=(torch.float32,), properties=few, examples=examples
    )


@pytest.mark.parametrize("visit", [positive_first, by_sign, as_they_are, by_tiles])
def test_backends_that_read_an_order_are_right(visit: Visit) -> None:
    check(visit, examples=20)


FAULTS = [
    (as_they_are, "relation.to(torch.uint8)", "(~relation).to(torch.uint8)"),
    (as_they_are, "soft & ~relation, SOFT", "soft, SOFT"),
    (as_they_are, "soft & ~relation, SOFT", "soft & relation, SOFT"),
    (as_they_are, "soft & ~relation, SOFT", "~soft & ~relation, SOFT"),
    (as_they_are, "if soft is not None", "if False"),
    (as_they_are, "if neutral is not None", "if False"),
    (as_they_are, "if masked is None", "if True"),
    (as_they_are, "masked_fill(neutral, NEUTRAL)", "masked_fill(neutral & ~relation, NEUTRAL)"),
    (as_they_are, "masked_fill(neutral, NEUTRAL)", "masked_fill(neutral, MASKED)"),
    (as_they_are, "masked_fill(masked, MASKED)", "masked_fill(masked & (signs < 3), MASKED)"),
    (
        as_they_are,
        "signs_of(relation, soft, neutral, masked)",
        "signs_of(relation, soft, masked, neutral)",
    ),
    (as_they_are, "key_labels_BM = key_labels_BM.long()", "pass"),
    (as_they_are, "[:, key_labels_BM]", "[:, key_labels_BM[:1].expand_as(key_labels_BM)]"),
    (as_they_are, "query_labels_BN.int().contiguous()", "query_labels_BN.byte().int()"),
    (as_they_are, "query_labels_BN.int().contiguous()", "query_labels_BN.int()"),
    (as_they_are, "sorted_labels, order_BN =", "order_BN, sorted_labels ="),
    (as_they_are, "torch.ones_like(sorted_labels)", "torch.zeros_like(sorted_labels)"),
    (as_they_are, "(counts_BC + BLOCK - 1) // BLOCK", "counts_BC // BLOCK"),
    (as_they_are, "(counts_BC + BLOCK - 1) // BLOCK", "(counts_BC + BLOCK - 2) // BLOCK"),
    (as_they_are, "cumsum(1) - (slots_BC - counts_BC)  #", "cumsum(1)  #"),
    (as_they_are, "+ gap_BC.gather(1, sorted_labels)", ""),
    (as_they_are, "(BLOCK - 1) * min(classes, queries)", "0"),
    (as_they_are, "min(classes, queries)", "(min(classes, queries) - 1)"),
    (as_they_are, "(batch, most), -1,", "(batch, most), 0,"),
    (as_they_are, "place_BN, order_BN.int()", "place_BN, sorted_labels.int()"),
    (positive_first, "signs_BCM == sign", "signs_BCM == sign ^ 1"),
    (positive_first, "upto_BCM[..., -1:]", "upto_BCM[..., :1]"),
    (positive_first, "upto_BCM[..., -1:]", "upto_BCM[..., -1:] - 1"),
    (positive_first, "mask_BCM, upto_BCM - 1,", "mask_BCM, upto_BCM,"),
    (positive_first, "first_BC1 + mask_BCM.cumsum", "mask_BCM.cumsum"),
    (positive_first, "upto_BCM - 1, place_BCM)", "upto_BCM - 1, keys)"),
    (positive_first, "keys.expand_as(order_BCM)", "place_BCM"),
    (by_sign, "in (*PRESENT, MASKED):", "in (*PRESENT[::-1], MASKED):"),
    (by_sign, "in (*PRESENT, MASKED):", "in (*PRESENT[:2], 3, 2, MASKED):"),
    (by_sign, "in (*PRESENT, MASKED):", "in (MASKED, *PRESENT):"),
    (by_sign, "ends[: len(PRESENT)]", "ends[1 :]"),
    (by_sign, "ends.append(first_BC1)", "ends.append(upto_BCM[..., :1])"),
    (by_tiles, "key_labels_BM.sort(dim=1", "key_labels_BM.sort(dim=1, descending=True"),
    (by_tiles, "counts_BK.cumsum(1) - counts_BK", "counts_BK.cumsum(1)"),
    (by_tiles, "counts_BK > 0", "counts_BK > 1"),
    (by_tiles, "(1, 0), value=-1", "(1, 0), value=0"),
    (by_tiles, "sign_BCK != sign_before_BCK", "sign_BCK == sign_before_BCK"),
    (by_tiles, "(before_BK < 0)[:, None] | ", ""),
    (by_tiles, "flip(2)[..., 1:], (0, 1)", "flip(2)[..., :-1], (0, 1)"),
    (by_tiles, "next_BCK - first_BCK, 0)", "next_BCK - first_BCK - 1, 0)"),
    (by_tiles, "next_BCK - first_BCK, 0)", "next_BCK - first_BCK, 1)"),
    (by_tiles, "length_BCK // TILE", "(length_BCK - 1) // TILE"),
    (by_tiles, "(length_BCK % TILE > 0)", "(length_BCK % TILE > 1)"),
    (by_tiles, "(length_BCK % TILE > 0)", "(length_BCK % TILE >= 0)"),
    (by_tiles, "for positive in (True, False)", "for positive in (False, True)"),
    (by_tiles, "(ragged_BCK, whole_BCK)", "(whole_BCK, ragged_BCK)"),
    (by_tiles, "keys // TILE + min(key_classes, keys) + 1", "keys // TILE + 1"),
    (by_tiles, "right=True", "right=False"),
    (by_tiles, "group_BCT // key_classes % 2 == 1", "group_BCT // key_classes % 2 == 0"),
    (by_tiles, "whole_BCK.gather(2, key_class_BCT))\n", "0)\n"),
    (by_tiles, "+ nth_BCT * TILE", ""),
    (by_tiles, "most_BCT - 1).int()", "most_BCT).int()"),
    (by_tiles, "is_whole_BCT, TILE, length_BCK", "is_whole_BCT, TILE - 1, length_BCK"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault[2][:50])
def test_a_fault_of_the_order_is_found(fault: tuple[Visit, str, str]) -> None:
    visit, old, new = fault
    with planted(class_order, old, new), pytest.raises(Broken) as raised:
        check(visit)
    assert raised.value.invariant in {"equal", "finite", "declines", "order"}
