"""Queries and keys in the order of their classes, as the fused kernel walks them.

Sorted this way a tile of queries is of one class, and for that class the positive keys come first
and the negative ones after: no tile of scores is mixed, and none needs a mask. Nothing is copied;
the order is an index through which the kernel gathers.

Dimensions: B batch (1 where all batch entries share their labels), N queries, M keys, C query
classes, S slots: places for queries, each class beginning at a multiple of ``BLOCK``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 128
"""No block of this many slots, or of a divisor of it, holds queries of two classes."""


@dataclass(frozen=True)
class ClassOrder:
    """Indices for one set of labels; worth keeping while the labels stay the same."""

    queries_BS: Tensor
    """int32: the query in each slot, or -1 in the slots that fill a class's last block."""
    classes_BN: Tensor
    """int32: the class of each query."""
    keys_BCM: Tensor
    """int32: for each query class all keys, the positive ones first."""
    positives_BC: Tensor
    """int32: how many keys are positive for each query class."""

    def tensors(self) -> list[Tensor]:
        """The four, in order."""
        return [self.queries_BS, self.classes_BN, self.keys_BCM, self.positives_BC]

    @classmethod
    def of(cls, query_labels_BN: Tensor, key_labels_BM: Tensor, relation: Tensor) -> ClassOrder:
        """Sort by class, without waiting for the device.

        Args:
            query_labels_BN, key_labels_BM: integer, ``[B, N]`` and ``[B, M]``.
            relation: bool ``[C, Ck]``.
        """
        return cls(
            _slots(query_labels_BN, len(relation)),
            query_labels_BN.int(),
            *_positive_first(relation[:, key_labels_BM].transpose(0, 1)),
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
    return out_BS.scatter_(1, place_BN, order_BN.int())


def _positive_first(positive_BCM: Tensor) -> tuple[Tensor, Tensor]:
    keys = torch.arange(positive_BCM.shape[-1], dtype=torch.int32, device=positive_BCM.device)
    upto_BCM = positive_BCM.cumsum(-1, dtype=torch.int32)
    count_BC = upto_BCM[..., -1]
    place_BCM = torch.where(positive_BCM, upto_BCM - 1, count_BC[..., None] + keys - upto_BCM)
    order_BCM = torch.empty_like(upto_BCM)
    order_BCM.scatter_(-1, place_BCM.long(), keys.expand_as(order_BCM))
    return order_BCM, count_BC.contiguous()
