"""Region-modulated attention: one operator, several backends.

The mathematics (VideoGrain, ICLR 2025; DenseDiffusion, ICCV 2023). Query row r and key j have the
score ``s = scale · Q Kᵀ``; ``mx_r`` and ``mn_r`` are the largest and smallest score of the row over
*all* modulated keys; the boolean relation R says which pairs are positive:

    s'_rj = s_rj + λ⁺_r (mx_r − s_rj)      where R_rj
    s'_rj = s_rj + g_j λ⁻_r (mn_r − s_rj)  elsewhere                                        (1)
    out_r = softmax_j(s'_rj) V

λ⁺ is called ``attract`` and λ⁻ ``repel``. R is given by the classes of queries and keys (labels)
and a small table over classes (relation), so nothing of size N x M has to be built for it. The
factor g is 1, except for soft keys: λ⁻ repels those by a share g only.

Two kinds of keys are not modulated. Neutral ones (a prompt's padding) take part in the softmax with
s' = s; masked ones are absent from it. Neither counts for ``mx`` and ``mn``. A row whose modulated
keys are all absent is thus plain attention to the neutral ones, and a row without any key is 0.

Backends use two equations that follow from it. A softmax does not change if ``mx_r`` is subtracted
from its row, and then no large numbers cancel:

    s'_rj − mx_r = (1 − λ⁺_r) (s_rj − mx_r)                               where R_rj
    s'_rj − mx_r = (1 − g_j λ⁻_r) (s_rj − mx_r) + g_j λ⁻_r (mn_r − mx_r)  elsewhere         (2)

Among the keys of one sign (positive, negative, soft) the modulation is a temperature and a
constant. Plain attention to those keys alone with the scale ``(1 − λ) · scale`` gives an output o
and the log-sum-exp l of its scores, and the signs are joined by

    out = Σ w o / Σ w,  w⁺ = exp(l⁺ + λ⁺ mx),  w⁻ = exp(l⁻ + λ⁻ mn),  w⁰ = exp(l⁰),         (3)

with g λ⁻ in place of λ⁻ for soft keys, and o⁰ and l⁰ of the neutral ones. The terms of a part of
the keys join with those of another: the log-sum-exps sign by sign, mx and mn as extremes, and the
weights w at the very end (:mod:`.partials`). Blocks of keys with λ and extremes of their own (video
and text in one softmax) join by ``log Σ w`` of each.

Columns (the second step of FlowAnchor, arXiv 2604.22586) pull a modulated key j of strength κ_j
along its column, after the pull along rows. ``M_j`` and ``m_j`` are the largest and smallest s'_rj
over *all* queries r of the batch entry and head, those with λ = 0, too; every row is pulled:

    s''_rj = s'_rj + κ_j (M_j − s'_rj)     where R_rj
    s''_rj = s'_rj + κ_j (m_j − s'_rj)     elsewhere                                        (4)

and s'' takes the place of s' in the softmax. Soft keys are pulled like all negative ones.

Dimensions: B batch, H heads, N queries, M keys, d head size, C classes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from grainspec_runtime.attention.arguments import SCHEMA, Arguments, checked, shape_of
from grainspec_runtime.attention.class_order import ClassOrder
from grainspec_runtime.attention.dispatch import choose, run


def modulated_attention(
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
    columns: Tensor | None = None,
    scale: float | None = None,
    backend: str = "auto",
    order: ClassOrder | None = None,
) -> Tensor:
    """Attention with scores moved towards their row's extremes, as the module's docstring says.

    Args:
        query: ``[B, H, N, d]``, any floating dtype.
        key, value: ``[B, H, M, d]``, of the query's dtype and device.
        query_labels, key_labels: integer ``[N]`` and ``[M]``, or with a leading B.
        relation: bool ``[Cq, Ck]``; whether a query class and a key class are a positive pair.
        attract, repel: λ⁺ and λ⁻ in [0, 1], ``[N]`` or ``[B, N]``. Rows with zeros are plain
            attention.
        soft: bool ``[Ck]``; the key classes that λ⁻ repels by a share only, where they are not
            positive. Meant for a prompt's words: the kernel for Hopper GPUs does not support them.
            None for none.
        soft_share: that share, g, in [0, 1]: 0 does not repel them, 1 makes them like all others.
        neutral: bool ``[Ck]``; the key classes that take part in the softmax as they are, outside
            the row's maximum and minimum, such as a prompt's padding. None for none.
        masked: bool ``[Ck]``; the key classes that are absent, whatever else they are. A row
            without a key is 0. None for none.
        columns: float32 ``[Ck]``; κ in [0, 1], by which positive and negative keys of a class are
            pulled along their columns. None or 0 for none.
        scale: factor of the scores; ``1 / sqrt(d)`` by default.
        backend: ``"triton"`` (one fused pass, CUDA; with its kernel for Hopper GPUs there),
            ``"hopper"`` (that kernel for any number of keys), ``"rows"`` (any device), ``"dense"``
            (float64, O(N·M) memory; the reference of the tests), ``"xformers"`` (its plain
            attention, one sign of one class at a time), or ``"auto"``: ``triton`` or ``rows``, as
            :func:`grainspec_runtime.attention.dispatch.choose` says. All but ``dense`` take memory
            linear in N and M, and all are exact.
        order: ``ClassOrder.of`` the same labels, relation and soft, neutral and masked classes, if
            the caller keeps it; the fused kernels need it, and sort themselves otherwise.

    Returns:
        ``[B, H, N, d]`` in the query's dtype.

    Raises:
        ValueError: if shapes or dtypes do not match, or the backend is unknown; on a CPU also for
            labels outside the relation and strengths outside 0 to 1 (on a GPU those checks would
            wait for the device).

    >>> q = k = v = torch.eye(4)[None, None]
    >>> labels, same = torch.tensor([0, 0, 1, 1]), torch.eye(2, dtype=torch.bool)
    >>> apart = modulated_attention(
    ...     q, k, v, query_labels=labels, key_labels=labels, relation=same,
    ...     attract=torch.ones(4), repel=torch.ones(4), scale=20.0,
    ... )
    >>> apart[0, 0, 0].round(decimals=3)
    tensor([0.5000, 0.5000, 0.0000, 0.0000])
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
        columns=columns,
        scale=scale,
        backend=backend,
        order=order,
    )
    if query.shape[2] and not key.shape[2]:
        raise ValueError(f"there are no keys to attend to: key is {shape_of(key)}")
    out: Tensor = _operator(*arguments)
    return out


# torch.compile sees one operator, whatever the backend does inside; inference only.
@torch.library.custom_op(
    "grainspec::modulated_attention", mutates_args=(), schema=f"{SCHEMA} -> Tensor"
)
def _operator(*arguments: Any) -> Tensor:
    checked_arguments = Arguments(*arguments)
    query, backend, call = (
        checked_arguments.query,
        checked_arguments.backend,
        checked_arguments.call(),
    )
    if query.numel() == 0:
        choose(backend, *call.requirements)  # an unknown backend is an error here, too
        return torch.empty_like(query)
    return _laid_out_as(query, run(call, backend))


@_operator.register_fake
def _(query: Tensor, *_: object) -> Tensor:
    return torch.empty_like(query)


def _laid_out_as(query: Tensor, out: Tensor) -> Tensor:
    """``out`` with the strides of ``torch.empty_like(query)``, which compilers expect."""
    expected = torch.empty_like(query, device="meta").stride()
    return out if out.stride() == expected else torch.empty_like(query).copy_(out)
