"""Region-modulated attention: one operator, several backends.

The mathematics (VideoGrain, ICLR 2025; DenseDiffusion, ICCV 2023). Query row r and key j have the
score ``s = scale · Q Kᵀ``; ``mx_r`` and ``mn_r`` are the largest and smallest score of the row over
*all* keys; the boolean relation R says which pairs are positive:

    s'_rj = s_rj + λ⁺_r (mx_r − s_rj)      where R_rj
    s'_rj = s_rj + g_j λ⁻_r (mn_r − s_rj)  elsewhere                                        (1)
    out_r = softmax_j(s'_rj) V

λ⁺ is called ``attract`` and λ⁻ ``repel``. R is given by the classes of queries and keys (labels)
and a small table over classes (relation), so nothing of size N x M has to be built for it. The
factor g is 1, except for soft keys: λ⁻ repels those by a share g only.

Backends use two equations that follow from it. A softmax does not change if ``mx_r`` is subtracted
from its row, and then no large numbers cancel:

    s'_rj − mx_r = (1 − λ⁺_r) (s_rj − mx_r)                               where R_rj
    s'_rj − mx_r = (1 − g_j λ⁻_r) (s_rj − mx_r) + g_j λ⁻_r (mn_r − mx_r)  elsewhere         (2)

Among the keys of one sign (positive, negative, soft) the modulation is a temperature and a
constant. Plain attention to those keys alone with the scale ``(1 − λ) · scale`` gives an output o
and the log-sum-exp l of its scores, and the signs are joined by

    out = Σ w o / Σ w,   w⁺ = exp(l⁺ + λ⁺ mx),   w⁻ = exp(l⁻ + λ⁻ mn),                      (3)

with g λ⁻ in place of λ⁻ for soft keys.

Dimensions: B batch, H heads, N queries, M keys, d head size, C classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from grainspec_runtime.attention.call import AttentionCall
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
            positive. Meant for a prompt's words: the kernels for many keys do not support them.
            None for none.
        soft_share: that share, g, in [0, 1]: 0 does not repel them, 1 makes them like all others.
        scale: factor of the scores; ``1 / sqrt(d)`` by default.
        backend: ``"triton"`` (one fused pass, CUDA; with its kernel for Hopper GPUs there),
            ``"hopper"`` (that kernel for any number of keys), ``"rows"`` (any device), ``"dense"``
            (float64, O(N·M) memory; the reference of the tests), ``"xformers"`` (its plain
            attention, one sign of one class at a time), or ``"auto"``: ``triton`` or ``rows``, as
            :func:`grainspec_runtime.attention.dispatch.choose` says. All but ``dense`` take memory
            linear in N and M, and all are exact.
        order: ``ClassOrder.of`` the same labels, relation and soft classes, if the caller keeps
            it; the fused kernels need it, and sort themselves otherwise.

    Returns:
        ``[B, H, N, d]`` in the query's dtype.

    Raises:
        ValueError: if shapes or dtypes do not match, or the backend is unknown; on a CPU also for
            labels outside the relation (on a GPU that check would wait for the device).

    >>> q = k = v = torch.eye(4)[None, None]
    >>> labels, same = torch.tensor([0, 0, 1, 1]), torch.eye(2, dtype=torch.bool)
    >>> apart = modulated_attention(
    ...     q, k, v, query_labels=labels, key_labels=labels, relation=same,
    ...     attract=torch.ones(4), repel=torch.ones(4), scale=20.0,
    ... )
    >>> apart[0, 0, 0].round(decimals=3)
    tensor([0.5000, 0.5000, 0.0000, 0.0000])
    """
    batch, _, queries, width = _check_tensors(query, key, value)
    keys = key.shape[2]
    for name, tensor, length in (
        ("query_labels", query_labels, queries),
        ("key_labels", key_labels, keys),
        ("attract", attract, queries),
        ("repel", repel, queries),
    ):
        if tensor.shape not in ((length,), (batch, length)):
            raise ValueError(
                f"{name} must be [{length}] or [{batch}, {length}]; got {_shape(tensor)}"
            )
    if relation.ndim != 2 or relation.dtype != torch.bool:
        raise ValueError(f"relation must be bool [Cq, Ck]; got {_shape(relation)}")
    if soft is not None and (soft.dtype != torch.bool or soft.shape != relation.shape[1:]):
        raise ValueError(f"soft must be bool [{relation.shape[1]}]; got {_shape(soft)}")
    if not 0 <= soft_share <= 1:
        raise ValueError(f"soft_share must lie in 0 to 1; got {soft_share}")
    if keys == 0 and queries:
        raise ValueError(f"there are no keys to attend to: key is {_shape(key)}")
    device = query.device
    out: Tensor = _operator(
        query,
        key,
        value,
        query_labels.to(device),
        key_labels.to(device),
        relation.to(device),
        attract.to(device).float(),
        repel.to(device).float(),
        None if soft is None else soft.to(device),
        soft_share,
        [] if order is None else order.tensors(),
        1 / math.sqrt(width) if scale is None else scale,
        backend,
    )
    return out


# torch.compile sees one operator, whatever the backend does inside; inference only.
# The schema is written out, since torch 2.6 does not infer it from postponed annotations.
@torch.library.custom_op(
    "grainspec::modulated_attention",
    mutates_args=(),
    schema="(Tensor query, Tensor key, Tensor value, Tensor query_labels, Tensor key_labels, "
    "Tensor relation, Tensor attract, Tensor repel, Tensor? soft, float soft_share, "
    "Tensor[] order, float scale, str backend) -> Tensor",
)
def _operator(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_labels: Tensor,
    key_labels: Tensor,
    relation: Tensor,
    attract: Tensor,
    repel: Tensor,
    soft: Tensor | None,
    soft_share: float,
    order: list[Tensor],
    scale: float,
    backend: str,
) -> Tensor:
    batch, queries, keys = len(query), query.shape[2], key.shape[2]
    if query.device.type == "cpu":
        _check_labels("query_labels", query_labels, relation.shape[0])
        _check_labels("key_labels", key_labels, relation.shape[1])
    rows = batch if max(query_labels.ndim, key_labels.ndim) == 2 else 1
    call = AttentionCall(
        query,
        key,
        value,
        query_labels=query_labels.expand(rows, queries),
        key_labels=key_labels.expand(rows, keys),
        relation=relation,
        attract=attract.expand(batch, queries),
        repel=repel.expand(batch, queries),
        scale=scale,
        soft=soft,
        soft_share=soft_share,
        order=ClassOrder(*order) if order else None,
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


def _check_tensors(query: Tensor, key: Tensor, value: Tensor) -> tuple[int, int, int, int]:
    if query.ndim != 4 or key.ndim != 4 or key.shape != value.shape:
        raise ValueError(
            "query must be [B, H, N, d], key and value [B, H, M, d]; got "
            f"{_shape(query)}, {_shape(key)} and {_shape(value)}"
        )
    batch, heads, queries, width = query.shape
    if key.shape[:2] != (batch, heads) or key.shape[3] != width:
        raise ValueError(f"query is {_shape(query)}, but key is {_shape(key)}")
    if not query.dtype == key.dtype == value.dtype or not query.dtype.is_floating_point:
        raise ValueError(
            "query, key and value must have one floating dtype; got "
            f"{query.dtype}, {key.dtype} and {value.dtype}"
        )
    return batch, heads, queries, width


def _check_labels(name: str, labels: Tensor, classes: int) -> None:
    if labels.numel() and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(
            f"{name} must lie in 0 to {classes - 1}, the classes of relation; "
            f"got {labels.min()} to {labels.max()}"
        )


def _shape(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
