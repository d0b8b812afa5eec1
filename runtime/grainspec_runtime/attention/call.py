"""One call of the attention operator, as every backend receives it.

Dimensions: B batch, H heads, N queries, M keys, d head size, Cq and Ck query and key classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from grainspec_runtime.attention.class_order import ClassOrder, present_signs, signs_of

FEATURES = {
    "soft": "soft keys",
    "neutral": "neutral keys",
    "masked": "masked keys",
    "columns": "columns",
}
"""Optional fields that change a call's result, with their names in messages.

A backend lists the ones that it supports (:class:`.backends.backend.Backend`); it is not chosen
for a call that has another.
"""


class Requirements(NamedTuple):
    """What a call requires of a backend; the arguments of ``Backend.why_not``."""

    device: torch.device
    dtype: torch.dtype
    width: int
    features: frozenset[str]


@dataclass(frozen=True, eq=False)
class AttentionCall:
    """The checked arguments of one call. All tensors are on the query's device.

    What the fields do to the result is in :mod:`grainspec_runtime.attention.operator`.

    To add a field: give it a default here that leaves the result as it is, list it in
    ``FEATURES`` if it can be left out, and read it in the backends that support it. The other
    backends need no change: they decline such a call.

    Attributes:
        query: ``[B, H, N, d]``, any floating dtype; N and B are not 0.
        key, value: ``[B, H, M, d]``, of the query's dtype.
        query_labels, key_labels: integer ``[B, N]`` and ``[B, M]``, or ``[1, N]`` and ``[1, M]``
            where all batch entries share both. :meth:`labels` gives them for each batch entry.
        relation: bool ``[Cq, Ck]``; whether a query class and a key class are a positive pair.
        attract, repel: λ⁺ and λ⁻, float32 ``[B, N]``, perhaps expanded.
        scale: factor of the scores; may be negative.
        soft: bool ``[Ck]``, the key classes that λ⁻ repels by a share only; None for none.
        soft_share: that share, in [0, 1]; no effect without ``soft``.
        neutral: bool ``[Ck]``, the key classes that take part in the softmax as they are; None
            for none.
        masked: bool ``[Ck]``, the key classes that are absent; None for none.
        columns: float32 ``[Ck]``, the strength κ of the pull along a key's column; None for none.
        order: the class order of the labels, relation, soft, neutral and masked keys, where the
            caller keeps it; it changes no result. :meth:`class_order` sorts where it is None.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    query_labels: Tensor
    key_labels: Tensor
    relation: Tensor
    attract: Tensor
    repel: Tensor
    scale: float
    soft: Tensor | None = None
    soft_share: float = 0.0
    neutral: Tensor | None = None
    masked: Tensor | None = None
    columns: Tensor | None = None
    order: ClassOrder | None = None

    @property
    def batch(self) -> int:
        """B."""
        return self.query.shape[0]

    @property
    def heads(self) -> int:
        """H."""
        return self.query.shape[1]

    @property
    def queries(self) -> int:
        """N."""
        return self.query.shape[2]

    @property
    def keys(self) -> int:
        """M."""
        return self.key.shape[2]

    @property
    def width(self) -> int:
        """The head size d."""
        return self.query.shape[3]

    @property
    def requirements(self) -> Requirements:
        """What a backend must support to run this call."""
        features = frozenset(name for name in FEATURES if getattr(self, name) is not None)
        return Requirements(self.query.device, self.query.dtype, self.width, features)

    def labels(self) -> tuple[Tensor, Tensor]:
        """Labels of queries and keys for each batch entry, int64 ``[B, N]`` and ``[B, M]``."""
        return (
            self.query_labels.long().expand(self.batch, -1),
            self.key_labels.long().expand(self.batch, -1),
        )

    def signs(self) -> Tensor:
        """The sign of every pair of classes, uint8 ``[Cq, Ck]``."""
        return signs_of(self.relation, self.soft, self.neutral, self.masked)

    @property
    def present(self) -> tuple[int, ...]:
        """The signs that its keys in the softmax may have."""
        return present_signs(self.soft, self.neutral)

    def class_order(self) -> ClassOrder:
        """The order that the caller kept, or a new one."""
        if self.order is not None:
            return self.order
        return ClassOrder.of(
            self.query_labels, self.key_labels, self.relation, self.soft, self.neutral, self.masked
        )
