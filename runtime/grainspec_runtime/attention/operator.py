"""Region-modulated attention: one operator, several backends.

The mathematics (VideoGrain, ICLR 2025; DenseDiffusion, ICCV 2023), for query row r and key j with
scores ``s = scale · Q Kᵀ``, ``mx_r`` and ``mn_r`` the largest and smallest score of the row over
*all* keys, and R the boolean relation that says which pairs are positive:

    s'_rj = s_rj + λ⁺_r (mx_r − s_rj)      where R_rj
    s'_rj = s_rj + g_j λ⁻_r (mn_r − s_rj)  elsewhere
    out_r = softmax_j(s'_rj) V

λ⁺ is called ``attract`` and λ⁻ ``repel``. R is given by the classes of queries and keys (labels)
and a small table over classes (relation), so nothing of size N x M has to be built for it. The
factor g is 1, but for soft keys: those are pushed by a share of λ⁻ only.

Dimensions: B batch, H heads, N queries, M keys, d head size, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from grainspec_runtime.attention.class_order import ClassOrder
from grainspec_runtime.attention.dense import dense
from grainspec_runtime.attention.dispatch import choose, warn_once
from grainspec_runtime.attention.parts import by_parts, xformers_part
from grainspec_runtime.attention.rows import rows


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
    """Attention whose scores are pulled to their row's extremes, as the module's docstring says.

    Args:
        query: ``[B, H, N, d]``, any floating dtype.
        key, value: ``[B, H, M, d]``, of the query's dtype and device.
        query_labels, key_labels: integer ``[N]`` and ``[M]``, or with a leading B.
        relation: bool ``[Cq, Ck]``; whether a query class and a key class are a positive pair.
        attract, repel: λ⁺ and λ⁻ in [0, 1], ``[N]`` or ``[B, N]``. Rows with zeros are plain
            attention.
        soft: bool ``[Ck]``; the key classes that λ⁻ pushes by a share only, where they are not
            positive. Meant for a prompt's words: the kernels for many keys don't know them. None
            for none.
        soft_share: that share, g, in [0, 1]: 0 leaves them alone, 1 makes them like all others.
        scale: factor of the scores; ``1 / sqrt(d)`` by default.
        backend: ``"triton"`` (one fused pass, CUDA), ``"rows"`` (any device), ``"dense"`` (float64,
            O(N·M) memory; the reference that tests trust), ``"xformers"`` (its plain attention,
            one sign of one class at a time), or ``"auto"``: ``triton`` or ``rows``, as
            :func:`grainspec_runtime.attention.dispatch.choose` says. All but ``dense`` take memory
            linear in N and M, and all are exact.
        order: ``ClassOrder.of`` the same labels, relation and soft classes, where the caller
            keeps it; only ``triton`` needs one, and sorts by itself otherwise.

    Returns:
        ``[B, H, N, d]`` in the query's dtype.

    Raises:
        ValueError: if shapes or dtypes do not fit together, or the backend is unknown; on a CPU
            also for labels outside the relation (elsewhere looking would stall the device).

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
                f"{name} must be [{length}] or [{batch}, {length}]; it is {_shape(tensor)}"
            )
    if relation.ndim != 2 or relation.dtype != torch.bool:
        raise ValueError(f"relation must be bool [Cq, Ck]; it is {_shape(relation)}")
    if soft is not None and (soft.dtype != torch.bool or soft.shape != relation.shape[1:]):
        raise ValueError(f"soft must be bool [{relation.shape[1]}]; it is {_shape(soft)}")
    if not 0 <= soft_share <= 1:
        raise ValueError(f"soft_share must lie in 0 to 1; it is {soft_share}")
    if keys == 0 and queries:
        raise ValueError("there are no keys to attend to: key is " + _shape(key))
    device = query.device
    return _operator(
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


# One operator to torch.compile, whatever the backend does inside; inference only.
# The schema is written out, since torch 2.6 does not find it from annotations such as these.
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
    backend = choose(backend, query.device, query.dtype, query.shape[3]).backend
    if query.numel() == 0:
        return torch.empty_like(query)
    attract, repel = attract.expand(batch, queries), repel.expand(batch, queries)
    if backend == "triton":
        from grainspec_runtime.attention.fused import fused

        if order:
            sorted_by_class = ClassOrder(*order)
        else:
            many = max(query_labels.ndim, key_labels.ndim) == 2
            sorted_by_class = ClassOrder.of(
                query_labels.expand(batch if many else 1, queries),
                key_labels.expand(batch if many else 1, keys),
                relation,
                soft,
            )
        try:
            # Triton launches on torch's current device, which need not be the tensors'.
            with torch.cuda.device_of(query):
                found = fused(
                    query,
                    key,
                    value,
                    order=sorted_by_class,
                    attract=attract,
                    repel=repel,
                    scale=scale,
                    soft_share=None if soft is None else soft_share,
                )
            return _laid_out_as(query, found)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # no C compiler, say: Triton's errors are of many kinds
            warn_once(f"attention runs row by row: the fused kernel failed ({error})")
    portable: Callable[..., Tensor] = rows
    if backend == "dense":
        portable = dense
    elif backend == "xformers":
        portable = partial(by_parts, part=xformers_part)
    found = portable(
        query,
        key,
        value,
        query_labels=query_labels.long().expand(batch, queries),
        key_labels=key_labels.long().expand(batch, keys),
        relation=relation,
        attract=attract,
        repel=repel,
        soft=soft,
        soft_share=soft_share,
        scale=scale,
    )
    return _laid_out_as(query, found)


@_operator.register_fake
def _(query: Tensor, *_: object) -> Tensor:
    return torch.empty_like(query)


def _laid_out_as(query: Tensor, found: Tensor) -> Tensor:
    """``found`` with the strides that ``torch.empty_like(query)`` has, as compilers expect."""
    wanted = torch.empty_like(query, device="meta").stride()
    return found if found.stride() == wanted else torch.empty_like(query).copy_(found)


def _check_tensors(query: Tensor, key: Tensor, value: Tensor) -> tuple[int, int, int, int]:
    if query.ndim != 4 or key.ndim != 4 or key.shape != value.shape:
        raise ValueError(
            "query must be [B, H, N, d], key and value [B, H, M, d]; they are "
            f"{_shape(query)}, {_shape(key)} and {_shape(value)}"
        )
    batch, heads, queries, width = query.shape
    if key.shape[:2] != (batch, heads) or key.shape[3] != width:
        raise ValueError(f"query is {_shape(query)} but key is {_shape(key)}")
    if not query.dtype == key.dtype == value.dtype or not query.dtype.is_floating_point:
        raise ValueError(
            "query, key and value must have one floating dtype; they have "
            f"{query.dtype}, {key.dtype} and {value.dtype}"
        )
    return batch, heads, queries, width


def _check_labels(name: str, labels: Tensor, classes: int) -> None:
    if labels.numel() and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(
            f"{name} must lie in 0 to {classes - 1}, as relation has it; "
            f"they run from {labels.min()} to {labels.max()}"
        )


def _shape(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
