"""Attention to a part of the keys, in a form that joins with other parts exactly.

Dimensions: S signs, B batch, H heads, N queries, d head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from grainspec_runtime.attention.class_order import NEGATIVE, POSITIVE, PRESENT, SOFT

Part = tuple[Tensor, Tensor]
"""An output ``[B, H, N, d]`` and the log-sum-exp of its scores ``[B, H, N]``."""


@dataclass(frozen=True, eq=False)
class Partials:
    """What some keys contribute to equation (3) of :mod:`grainspec_runtime.attention.operator`.

    For every sign, its output is plain attention to the keys of that sign with scores of a scale
    of ``(1 − λ) · scale`` (λ⁺, λ⁻, g λ⁻ or 0, of each row); nothing of ``mx`` and ``mn`` is in it,
    which a part of the keys does not tell. All tensors are float32.

    Attributes:
        signs: of ``class_order.PRESENT``, in its order; the others have no keys.
        outputs_SBHNd: of each sign, 0 in rows without a key of that sign.
        log_sums_SBHN: the log-sum-exp of those scaled scores; −∞ in rows without a key.
        largest_BHN: the largest score of a positive, negative or soft key; −∞ without one.
        smallest_BHN: the smallest; +∞ without one.
    """

    signs: tuple[int, ...]
    outputs_SBHNd: Tensor
    log_sums_SBHN: Tensor
    largest_BHN: Tensor
    smallest_BHN: Tensor

    @classmethod
    def empty(cls, query: Tensor, signs: tuple[int, ...]) -> Partials:
        """Those of no keys, for a query ``[B, H, N, d]``."""
        rows = query.new_zeros(query.shape[:-1], dtype=torch.float32)
        return cls(
            signs,
            query.new_zeros(len(signs), *query.shape, dtype=torch.float32),
            rows.new_full((len(signs), *rows.shape), -torch.inf),
            torch.full_like(rows, -torch.inf),
            torch.full_like(rows, torch.inf),
        )

    def part(self, sign: int) -> Part | None:
        """Output and log-sum-exp of one sign; None if no key has it."""
        if sign not in self.signs:
            return None
        index = self.signs.index(sign)
        return self.outputs_SBHNd[index], self.log_sums_SBHN[index]

    def merged(self, other: Partials) -> Partials:
        """The partials of both sets of keys together, of the same queries and strengths.

        Exact, and in any order: a chunk of the keys at a time, or a device's own of them (ring
        attention), and :meth:`finished` at the end. Raises ValueError if the queries differ in
        shape.
        """
        ours, theirs = (list(each.outputs_SBHNd.shape[1:]) for each in (self, other))
        if ours != theirs:
            raise ValueError(f"partials of queries {ours} cannot merge with those of {theirs}")
        signs = tuple(sign for sign in PRESENT if sign in self.signs + other.signs)
        parts = [
            joined([part for part in (self.part(sign), other.part(sign)) if part is not None])
            for sign in signs
        ]
        return Partials(
            signs,
            torch.stack([out for out, _ in parts]),
            torch.stack([log_sum for _, log_sum in parts]),
            torch.maximum(self.largest_BHN, other.largest_BHN),
            torch.minimum(self.smallest_BHN, other.smallest_BHN),
        )

    def finished(self, attract: Tensor, repel: Tensor, soft_share: float = 0.0) -> Part:
        """The operator's result for these keys, as if there were no others: equation (3).

        Args:
            attract, repel, soft_share: as the partials were made with; ``[N]`` or ``[B, N]``.

        Returns:
            The output ``[B, H, N, d]`` and the log-sum-exp of the modulated scores ``[B, H, N]``,
            both float32; 0 and −∞ in rows without a key. Blocks of keys with strengths and
            extremes of their own are joined by these: :func:`joined`.

        Raises:
            ValueError: if the strengths are of other queries.
        """
        batch, _, queries = self.largest_BHN.shape
        for name, strength in (("attract", attract), ("repel", repel)):
            if strength.shape not in ((queries,), (batch, queries)):
                message = f"{name} must be [{queries}] or [{batch}, {queries}]"
                raise ValueError(f"{message}; got {list(strength.shape)}")
        device = self.largest_BHN.device
        attract, repel = (
            strength.to(device).float().expand(len(self.largest_BHN), -1)[:, None]
            for strength in (attract, repel)
        )
        shifts = {
            POSITIVE: attract * self.largest_BHN,
            NEGATIVE: repel * self.smallest_BHN,
            SOFT: soft_share * repel * self.smallest_BHN,
        }
        parts = []
        for sign, out, log_sum in zip(
            self.signs, self.outputs_SBHNd, self.log_sums_SBHN, strict=True
        ):
            if sign in shifts:
                # without a key the extreme is infinite, and 0 times that is NaN
                log_sum = torch.where(log_sum == -torch.inf, log_sum, log_sum + shifts[sign])
            parts.append((out, log_sum))
        return joined(parts)


def joined(parts: Sequence[Part]) -> Part:
    """Softmax attention to several sets of keys together, from that to each of them.

    Args:
        parts: at least one; of disjoint keys and the same queries.

    >>> one_key = torch.tensor([[[[2.0]]]]), torch.tensor([[[0.0]]])
    >>> another = torch.tensor([[[[8.0]]]]), torch.tensor([[[0.0]]])
    >>> joined([one_key, another])[0]
    tensor([[[[5.]]]])
    """
    log_sum = torch.stack([log_sum for _, log_sum in parts]).logsumexp(0)
    # of no keys at all: −∞ less −∞ is NaN
    base = log_sum.masked_fill(log_sum == -torch.inf, 0.0)
    out = torch.zeros_like(parts[0][0])
    for part_out, part_log_sum in parts:
        out = torch.addcmul(out, part_out, (part_log_sum - base).exp()[..., None])
    return out, log_sum
