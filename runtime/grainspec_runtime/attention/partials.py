"""Attention to some of the keys as a result of its own, and blocks of keys under one softmax.

Partial results are the terms of equation (3) of :mod:`grainspec_runtime.attention.operator`. They
serve where no device has all keys (ring attention), and where blocks of keys have strengths and
extremes of their own (joint attention to video and text).

Dimensions: B batch, H heads, N queries, M keys, d head size, Cq and Ck query and key classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grainspec_runtime.attention.arguments import SCHEMA, Arguments, checked
from grainspec_runtime.attention.class_order import ClassOrder, present_signs
from grainspec_runtime.attention.dispatch import choose, run_partials
from grainspec_runtime.attention.partial_result import Part, Partials, joined


def attention_partials(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    query_labels: Tensor,
    key_labels: Tensor,
    relation: Tensor,
    attract: Tensor,
    repel: Tensor,
    soft: Tensor | None = None,
    soft_share: float = 0.0,
    neutral: Tensor | None = None,
    masked: Tensor | None = None,
    scale: float | None = None,
    backend: str = "auto",
    order: ClassOrder | None = None,
) -> Partials:
    """What some keys contribute to :func:`.operator.modulated_attention`, which has the arguments.

    There may be no keys at all, and there are no columns: their extremes need all keys at once.

    Returns:
        For every sign the output and log-sum-exp, and each row's largest and smallest score, all
        float32. Partial results of disjoint keys merge exactly, and are finished with the same
        strengths:

    >>> q, k, v = torch.randn(3, 1, 2, 6, 8, generator=torch.Generator().manual_seed(0)).unbind(0)
    >>> labels, relation = torch.arange(6) % 2, torch.eye(2, dtype=torch.bool)
    >>> λ = torch.full((6,), 0.5)
    >>> def part(keys):
    ...     return attention_partials(
    ...         q, k[:, :, keys], v[:, :, keys], query_labels=labels, key_labels=labels[keys],
    ...         relation=relation, attract=λ, repel=λ,
    ...     )
    >>> out, log_sum = part(slice(0, 2)).merged(part(slice(2, 6))).finished(λ, λ)
    >>> whole, _ = part(slice(0, 6)).finished(λ, λ)
    >>> torch.allclose(out, whole, atol=1e-6)
    True
    """
    arguments = checked(
        query,
        key,
        value,
        query_labels=query_labels,
        key_labels=key_labels,
        relation=relation,
        attract=attract,
        repel=repel,
        soft=soft,
        soft_share=soft_share,
        neutral=neutral,
        masked=masked,
        scale=scale,
        backend=backend,
        order=order,
    )
    return Partials(present_signs(soft, neutral), *_operator(*arguments))


@dataclass(frozen=True, eq=False)
class KeyBlock:
    """Keys of one kind (a clip's, a prompt's) with strengths and extremes of their own.

    The fields are arguments of :func:`.operator.modulated_attention`. Queries of all kinds, of
    text, too, have labels in every block: its relation says which of them its keys belong to.
    """

    key: Tensor
    value: Tensor
    query_labels: Tensor
    key_labels: Tensor
    relation: Tensor
    attract: Tensor
    repel: Tensor
    soft: Tensor | None = None
    soft_share: float = 0.0
    neutral: Tensor | None = None
    masked: Tensor | None = None
    order: ClassOrder | None = None

    def attended(self, query: Tensor, *, scale: float | None, backend: str) -> Part:
        """The block's output and log-sum-exp by itself, float32."""
        given = {name: value for name, value in vars(self).items() if name not in {"key", "value"}}
        parts = attention_partials(
            query, self.key, self.value, scale=scale, backend=backend, **given
        )
        return parts.finished(self.attract, self.repel, self.soft_share)


def joint_attention(
    query: Tensor,
    blocks: Sequence[KeyBlock],
    *,
    scale: float | None = None,
    backend: str = "auto",
) -> Tensor:
    """Attention to several blocks of keys under one softmax, each modulated by itself.

    Args:
        query: ``[B, H, N, d]``, such as the tokens of a clip and those of its prompt.
        blocks: of the query's dtype; a block may have no keys. Every row of a block is moved
            towards the row's extremes in that block, with that block's strengths: equation (1).
        scale, backend: as in :func:`.operator.modulated_attention`.

    Returns:
        ``[B, H, N, d]`` in the query's dtype; rows without a key are 0.

    Raises:
        ValueError: as :func:`.operator.modulated_attention` does, and if there are no blocks.

    A block of video keys that is left as it is, and one of text keys that is modulated:

    >>> q, k, v = torch.randn(3, 1, 2, 6, 8, generator=torch.Generator().manual_seed(0)).unbind(0)
    >>> zero, one = torch.zeros(6), torch.ones(6)
    >>> labels, relation = torch.arange(6) % 2, torch.eye(2, dtype=torch.bool)
    >>> video = KeyBlock(k, v, labels, labels, relation, attract=zero, repel=zero)
    >>> text = KeyBlock(k[:, :, :4], v[:, :, :4], labels, labels[:4], relation, one, one)
    >>> joint_attention(q, [video, text]).shape
    torch.Size([1, 2, 6, 8])
    """
    if not blocks:
        raise ValueError("joint attention requires at least one block of keys")
    out, _ = joined([block.attended(query, scale=scale, backend=backend) for block in blocks])
    return out.to(query.dtype)


@torch.library.custom_op(
    "grainspec::attention_partials",
    mutates_args=(),
    schema=f"{SCHEMA} -> (Tensor, Tensor, Tensor, Tensor)",
)
def _operator(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    named = Arguments(*arguments)
    call = named.call()
    if call.query.numel() == 0 or call.keys == 0:
        choose(named.backend, *call.requirements)  # an unknown backend is an error here, too
        parts = Partials.empty(call.query, call.present)
    else:
        parts = run_partials(call, named.backend)
    return (
        parts.outputs_SBHNd.contiguous(),
        parts.log_sums_SBHN.contiguous(),
        parts.largest_BHN.contiguous(),
        parts.smallest_BHN.contiguous(),
    )


@_operator.register_fake
def _(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    named = Arguments(*arguments)
    parts = Partials.empty(named.query, present_signs(named.soft, named.neutral))
    return parts.outputs_SBHNd, parts.log_sums_SBHN, parts.largest_BHN, parts.smallest_BHN
