"""The arguments of the attention operators: checked, and as torch's custom operators take them.

Dimensions: B batch, H heads, N queries, M keys, d head size, Cq and Ck query and key classes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from grainspec_runtime.attention.call import AttentionCall
from grainspec_runtime.attention.class_order import ClassOrder

# Written out, since torch 2.6 does not infer it from postponed annotations.
SCHEMA = (
    "(Tensor query, Tensor key, Tensor value, Tensor query_labels, Tensor key_labels, "
    "Tensor relation, Tensor attract, Tensor repel, Tensor? soft, float soft_share, "
    "Tensor[] order, float scale, str backend, "
    "Tensor? neutral=None, Tensor? masked=None, Tensor? columns=None)"
)
"""The parameters of the custom operators."""


class Arguments(NamedTuple):
    """The arguments of a custom operator, in its order."""

    query: Tensor
    key: Tensor
    value: Tensor
    query_labels: Tensor
    key_labels: Tensor
    relation: Tensor
    attract: Tensor
    repel: Tensor
    soft: Tensor | None
    soft_share: float
    order: list[Tensor]
    scale: float
    backend: str
    neutral: Tensor | None = None
    masked: Tensor | None = None
    columns: Tensor | None = None

    def call(self) -> AttentionCall:
        """The call as backends receive it.

        Raises:
            ValueError: on a CPU for labels outside the relation, and for strengths outside 0 to
                1; on a GPU that check would wait for the device.
        """
        batch, queries, keys = len(self.query), self.query.shape[2], self.key.shape[2]
        if self.query.device.type == "cpu":
            _check_labels("query_labels", self.query_labels, self.relation.shape[0])
            _check_labels("key_labels", self.key_labels, self.relation.shape[1])
            _check_strengths("attract", self.attract)
            _check_strengths("repel", self.repel)
            _check_strengths("columns", self.columns)
        rows = batch if max(self.query_labels.ndim, self.key_labels.ndim) == 2 else 1
        return AttentionCall(
            self.query,
            self.key,
            self.value,
            query_labels=self.query_labels.expand(rows, queries),
            key_labels=self.key_labels.expand(rows, keys),
            relation=self.relation,
            attract=self.attract.expand(batch, queries),
            repel=self.repel.expand(batch, queries),
            scale=self.scale,
            soft=self.soft,
            soft_share=self.soft_share,
            neutral=self.neutral,
            masked=self.masked,
            columns=self.columns,
            order=ClassOrder(*self.order) if self.order else None,
        )


def checked(
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
) -> Arguments:
    """The arguments of :func:`.operator.modulated_attention` on one device, or ValueError."""
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
                f"{name} must be [{length}] or [{batch}, {length}]; got {shape_of(tensor)}"
            )
    if relation.ndim != 2 or relation.dtype != torch.bool:
        raise ValueError(f"relation must be bool [Cq, Ck]; got {shape_of(relation)}")
    classes = relation.shape[1]
    for name, mask in (("soft", soft), ("neutral", neutral), ("masked", masked)):
        if mask is not None and (mask.dtype != torch.bool or mask.shape != (classes,)):
            raise ValueError(f"{name} must be bool [{classes}]; got {shape_of(mask)}")
    if columns is not None and (not columns.is_floating_point() or columns.shape != (classes,)):
        raise ValueError(f"columns must be float32 [{classes}]; got {shape_of(columns)}")
    if not 0 <= soft_share <= 1:
        raise ValueError(f"soft_share must lie in 0 to 1; got {soft_share}")
    device = query.device

    def here(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.to(device)

    return Arguments(
        query,
        key,
        value,
        query_labels.to(device),
        key_labels.to(device),
        relation.to(device),
        attract.to(device).float(),
        repel.to(device).float(),
        here(soft),
        soft_share,
        [] if order is None else order.tensors(),
        1 / math.sqrt(width) if scale is None else scale,
        backend,
        here(neutral),
        here(masked),
        None if columns is None else columns.to(device).float(),
    )


def _check_tensors(query: Tensor, key: Tensor, value: Tensor) -> tuple[int, int, int, int]:
    if query.ndim != 4 or key.ndim != 4 or key.shape != value.shape:
        raise ValueError(
            "query must be [B, H, N, d], key and value [B, H, M, d]; got "
            f"{shape_of(query)}, {shape_of(key)} and {shape_of(value)}"
        )
    batch, heads, queries, width = query.shape
    if key.shape[:2] != (batch, heads) or key.shape[3] != width:
        raise ValueError(f"query is {shape_of(query)}, but key is {shape_of(key)}")
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


def shape_of(tensor: Tensor) -> str:
    """A tensor in messages: its dtype and shape."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _check_strengths(name: str, strengths: Tensor | None) -> None:
    if strengths is None or not strengths.numel():
        return
    least, most = strengths.aminmax()  # NaN if one is
    if not (least >= 0 and most <= 1):
        raise ValueError(f"{name} must lie in 0 to 1; got {least:g} to {most:g}")
