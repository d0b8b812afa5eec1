"""Queries and keys sorted by class, as the fused kernels visit them.

Then a tile of queries has one class, and every tile of keys has one sign for it: no tile of scores
is mixed. The portable kernel gathers keys through an index, the positive ones of a class first. The
Hopper kernel copies neighbours: it takes keys sorted by their own class, so that the keys of one
sign are a few runs, and cuts the runs into tiles: for each sign the ragged tiles first (the
remainder of a run), then the whole ones. It knows positive and negative keys only.

Dimensions: B batch (1 where all batch entries share their labels), N queries, M keys, C query
classes, K key classes, T tiles, S slots: places for queries, each class beginning at a multiple of
``BLOCK``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 128
"""No block of this many slots, or of a divisor of it, holds queries of two classes."""

TILE = 128
"""Keys of a whole tile."""

NEGATIVE, POSITIVE, SOFT, NEUTRAL, MASKED = 0, 1, 2, 3, 4
"""The signs of a pair of classes."""

PRESENT = (POSITIVE, NEGATIVE, SOFT, NEUTRAL)
"""The signs whose keys take part in the softmax, in the order of ``ClassOrder.keys_BCM``."""


def present_signs(soft: Tensor | None, neutral: Tensor | None) -> tuple[int, ...]:
    """The signs that keys in the softmax may have, of ``PRESENT``, in its order.

    >>> present_signs(None, torch.tensor([True])) == (POSITIVE, NEGATIVE, NEUTRAL)
    True
    """
    left_out = {SOFT: soft is None, NEUTRAL: neutral is None}
    return tuple(sign for sign in PRESENT if not left_out.get(sign))


def signs_of(
    relation: Tensor,
    soft: Tensor | None = None,
    neutral: Tensor | None = None,
    masked: Tensor | None = None,
) -> Tensor:
    """The sign of every pair of classes, uint8 ``[C, Ck]``.

    Of several that apply, a pair has the first of: masked, neutral, positive, soft, negative.

    Args:
        relation: bool ``[C, Ck]``, the positive pairs.
        soft, neutral, masked: bool ``[Ck]``; None for none.

    >>> yes, no = True, False
    >>> signs_of(torch.tensor([[yes, no, no, no]]), torch.tensor([yes, yes, no, no]))
    tensor([[1, 2, 0, 0]], dtype=torch.uint8)
    >>> neutral, masked = torch.tensor([yes, yes, no, no]), torch.tensor([no, yes, yes, no])
    >>> signs_of(torch.tensor([[yes, no, no, no]]), None, neutral, masked)
    tensor([[3, 4, 4, 0]], dtype=torch.uint8)
    """
    signs = relation.to(torch.uint8)
    if soft is not None:
        signs = signs.masked_fill(soft & ~relation, SOFT)
    if neutral is not None:
        signs = signs.masked_fill(neutral, NEUTRAL)
    return signs if masked is None else signs.masked_fill(masked, MASKED)


@dataclass(frozen=True)
class ClassOrder:
    """Indices for one set of labels; worth keeping while the labels stay the same.

    All tensors are contiguous, however the labels lie in memory.
    """

    queries_BS: Tensor
    """int32: the query in each slot, or -1 in the slots that fill a class's last block."""
    classes_BN: Tensor
    """int32: the class of each query."""
    keys_BCM: Tensor
    """int32: for each query class all keys by sign: the positive ones, negative, soft, neutral and
    masked ones; those of one sign as they were."""
    ends_BC4: Tensor
    """int32: where the positive, negative, soft and neutral ones end in ``keys_BCM``."""
    signs_BCM: Tensor
    """uint8: the sign of a key for a query class."""
    sorted_BM: Tensor
    """int32: the keys by class."""
    tiles_BCT: Tensor
    """int32: ``TILE · first + length − 1``, where ``first`` is a place in ``sorted_BM``."""
    counts_BC4: Tensor
    """int32: how many tiles are positive and ragged, positive and whole, and negative likewise."""

    @property
    def positives_BC(self) -> Tensor:
        """int32: how many keys are positive for each query class."""
        return self.ends_BC4[..., 0]

    def tensors(self) -> list[Tensor]:
        """All tensors, in the order of the fields."""
        return [getattr(self, field.name) for field in fields(self)]

    @classmethod
    def of(
        cls,
        query_labels_BN: Tensor,
        key_labels_BM: Tensor,
        relation: Tensor,
        soft: Tensor | None = None,
        neutral: Tensor | None = None,
        masked: Tensor | None = None,
    ) -> ClassOrder:
        """Sort by class, without waiting for the device.

        Args:
            query_labels_BN, key_labels_BM: integer, ``[B, N]`` and ``[B, M]``.
            relation: bool ``[C, Ck]``.
            soft, neutral, masked: bool ``[Ck]``, None for none. The tiles take no account of them.
        """
        key_labels_BM = key_labels_BM.long()  # an index of uint8 is a mask; some dtypes are none
        signs = signs_of(relation, soft, neutral, masked)
        signs_BCM = signs[:, key_labels_BM].transpose(0, 1).contiguous()
        return cls(
            _slots(query_labels_BN, len(relation)),
            query_labels_BN.int().contiguous(),
            *_by_sign(signs_BCM),
            signs_BCM,
            key_labels_BM.sort(dim=1, stable=True).indices.int().contiguous(),
            *_tiles(key_labels_BM, relation),
        )


def _slots(labels_BN: Tensor, classes: int) -> Tensor:
    batch, queries = labels_BN.shape
    device = labels_BN.device
    sorted_labels, order_BN = labels_BN.long().sort(dim=1, stable=True)
    counts_BC = torch.zeros(batch, classes, dtype=torch.long, device=device)
    counts_BC.scatter_add_(1, sorted_labels, torch.ones_like(sorted_labels))
    slots_BC = (counts_BC + BLOCK - 1) // BLOCK * BLOCK
    gap_BC = (slots_BC - counts_BC).cumsum(1) - (slots_BC - counts_BC)  # unused slots before it
    place_BN = torch.arange(queries, device=device) + gap_BC.gather(1, sorted_labels)
    most = (queries + (BLOCK - 1) * min(classes, queries)) // BLOCK * BLOCK
    out_BS = torch.full((batch, most), -1, dtype=torch.int32, device=device)
    out_BS.scatter_(1, place_BN, order_BN.int())
    # Half-filled blocks come last, so that the GPU's last wave has little work.
    half_full_Bb = out_BS[:, BLOCK // 2 :: BLOCK] < 0
    order_Bb = half_full_Bb.byte().argsort(dim=1, stable=True)
    blocks_BbS = out_BS.view(batch, -1, BLOCK)
    return blocks_BbS.gather(1, order_Bb[..., None].expand_as(blocks_BbS)).view(batch, most)


def _by_sign(signs_BCM: Tensor) -> tuple[Tensor, Tensor]:
    """Keys by sign, the masked ones last, and where the others end."""
    keys = torch.arange(signs_BCM.shape[-1], dtype=torch.int32, device=signs_BCM.device)
    place_BCM = torch.empty_like(signs_BCM, dtype=torch.int32)
    first_BC1 = torch.zeros_like(signs_BCM[..., :1], dtype=torch.int32)
    ends = []
    for sign in (*PRESENT, MASKED):  # counting is faster than sorting
        mask_BCM = signs_BCM == sign
        upto_BCM = first_BC1 + mask_BCM.cumsum(-1, dtype=torch.int32)
        place_BCM = torch.where(mask_BCM, upto_BCM - 1, place_BCM)
        first_BC1 = upto_BCM[..., -1:]
        ends.append(first_BC1)
    order_BCM = torch.empty_like(place_BCM)
    order_BCM.scatter_(-1, place_BCM.long(), keys.expand_as(order_BCM))
    return order_BCM, torch.cat(ends[: len(PRESENT)], -1)


def _tiles(labels_BM: Tensor, relation_CK: Tensor) -> tuple[Tensor, Tensor]:
    batch, keys = labels_BM.shape
    classes, key_classes = relation_CK.shape
    counts_BK = torch.zeros(batch, key_classes, dtype=torch.long, device=labels_BM.device)
    counts_BK.scatter_add_(1, labels_BM, torch.ones_like(labels_BM))
    starts_BK = counts_BK.cumsum(1) - counts_BK

    # Runs: neighbouring key classes of one sign. Empty classes neither end nor begin one.
    index_K = torch.arange(key_classes, device=labels_BM.device)
    filled_BK = counts_BK > 0
    last_filled_BK = torch.where(filled_BK, index_K, -1).cummax(1).values
    before_BK = F.pad(last_filled_BK[:, :-1], (1, 0), value=-1)
    sign_BCK = relation_CK.expand(batch, classes, key_classes)
    sign_before_BCK = sign_BCK.gather(2, before_BK.clamp(min=0)[:, None].expand_as(sign_BCK))
    begins_BCK = filled_BK[:, None] & ((before_BK < 0)[:, None] | (sign_BCK != sign_before_BCK))
    first_BCK = torch.where(begins_BCK, starts_BK[:, None], keys)
    next_BCK = F.pad(first_BCK.flip(2).cummin(2).values.flip(2)[..., 1:], (0, 1), value=keys)
    length_BCK = torch.where(begins_BCK, next_BCK - first_BCK, 0)

    # Tiles of all runs, group by group.
    whole_BCK = length_BCK // TILE
    ragged_BCK = (length_BCK % TILE > 0).long()
    groups_BCG = torch.cat(
        [
            torch.where(sign_BCK == positive, tiles_BCK, 0)
            for positive in (True, False)
            for tiles_BCK in (ragged_BCK, whole_BCK)
        ],
        2,
    )
    upto_BCG = groups_BCG.cumsum(2)
    place_T = torch.arange(keys // TILE + min(key_classes, keys) + 1, device=labels_BM.device)
    place_BCT = place_T.expand(batch, classes, -1).contiguous()
    group_BCT = torch.searchsorted(upto_BCG, place_BCT, right=True)
    group_BCT = group_BCT.clamp(max=4 * key_classes - 1)  # past the last tile
    key_class_BCT = group_BCT % key_classes
    nth_BCT = place_BCT - (upto_BCG - groups_BCG).gather(2, group_BCT)
    is_whole_BCT = group_BCT // key_classes % 2 == 1
    nth_BCT = torch.where(is_whole_BCT, nth_BCT, whole_BCK.gather(2, key_class_BCT))
    first_BCT = first_BCK.gather(2, key_class_BCT) + nth_BCT * TILE
    most_BCT = torch.where(is_whole_BCT, TILE, length_BCK.gather(2, key_class_BCT) % TILE)
    counts_BC4 = groups_BCG.view(batch, classes, 4, key_classes).sum(3)
    return (first_BCT * TILE + most_BCT - 1).int(), counts_BC4.int()
