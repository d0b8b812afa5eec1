"""What every attention backend promises, by name.

A property looks at one trial and raises Broken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from grainspec_runtime.testing.attention import key_properties
from grainspec_runtime.testing.attention.trial import Trial, array, labels_at

Property = Callable[[Trial], None]

PROPERTIES: dict[str, Property] = {}
"""The properties of attention backends by name, in the order of checking."""


def _property(name: str) -> Callable[[Property], Property]:
    def register(check: Property) -> Property:
        PROPERTIES[name] = check
        return check

    return register


@_property("inputs")
def inputs(trial: Trial) -> None:
    """The arguments are not changed."""
    call = trial.call
    before = {name: tensor.clone() for name, tensor in _tensors(call).items()}
    trial.out  # noqa: B018 - computed here
    for name, tensor in _tensors(call).items():
        if not torch.equal(tensor, before[name]):
            raise trial.broken("inputs", f"`{name}` is changed by the call")


@_property("declines")
def declines(trial: Trial) -> None:
    """What ``why_not`` accepts is computed."""
    trial.out  # noqa: B018 - computed here


@_property("shape")
def shape(trial: Trial) -> None:
    """The result has the query's shape, dtype and device."""
    query, out = trial.call.query, trial.out
    if not isinstance(out, Tensor):
        raise trial.broken("shape", f"the result is a {type(out).__name__}, not a tensor")
    for what, found, wanted in (
        ("shape", list(out.shape), list(query.shape)),
        ("dtype", out.dtype, query.dtype),
        ("device", out.device, query.device),
    ):
        if found != wanted:
            raise trial.broken("shape", f"the result's {what} is {found}, the query's {wanted}")


@_property("finite")
def finite(trial: Trial) -> None:
    """The result has no NaN and no infinity."""
    wrong = ~np.isfinite(trial.result)
    if wrong.any():
        batch, head, row, column = map(int, np.argwhere(wrong)[0])
        raise trial.broken(
            "finite",
            f"{int(wrong.sum())} of {wrong.size} numbers are NaN or infinity, first "
            f"{trial.result[batch, head, row, column]}{_rows_alike(trial, wrong)}",
            batch=batch,
            head=head,
            row=row,
            column=column,
        )


@_property("plain")
def plain(trial: Trial) -> None:
    """With strengths of 0 it is plain attention, torch's own, to the keys that are not masked."""
    call = trial.call
    zeros = torch.zeros_like(call.attract)
    out = trial.run(trial.changed(attract=zeros, repel=zeros, columns=None))
    q, k, v = (tensor.cpu().double() for tensor in (call.query, call.key, call.value))
    present = torch.from_numpy(~trial.numbers.masked_K[trial.numbers.key_labels_BM])[:, None, None]
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=present, scale=call.scale)
    expected = expected.masked_fill(~present.any(-1, keepdim=True), 0.0)
    what = "with λ⁺ = λ⁻ = 0 plain attention gives"
    trial.compare("plain", array(out), expected.numpy(), what)


@_property("equal")
def equal(trial: Trial) -> None:
    """The result is the definition's."""
    wrong = np.abs(trial.result - trial.expected) > trial.tolerance
    cause = _rows_alike(trial, wrong) if wrong.any() else ""
    trial.compare("equal", trial.result, trial.expected, "by definition it is", cause)


@_property("permutation")
def permutation(trial: Trial) -> None:
    """Keys in another order, with their labels, give the same; so do queries, in their order."""
    call = trial.call
    device = call.query.device
    keys = torch.arange(call.keys - 1, -1, -1, device=device)
    out = trial.run(
        trial.changed(
            key=call.key[:, :, keys],
            value=call.value[:, :, keys],
            key_labels=labels_at(call.key_labels, keys),
        )
    )
    trial.compare("permutation", array(out), trial.result, "with keys in their order it is")
    rows = torch.arange(call.queries, device=device).roll(call.queries // 2)
    out = trial.run(
        trial.changed(
            query=call.query[:, :, rows],
            query_labels=labels_at(call.query_labels, rows),
            attract=call.attract[:, rows],
            repel=call.repel[:, rows],
        )
    )
    what = "with queries in their order it is"
    trial.compare("permutation", array(out), trial.result[:, :, rows.cpu().numpy()], what)


@_property("batch")
def batch(trial: Trial) -> None:
    """Every batch entry and every head by itself gives what it gives among the others."""
    call = trial.call
    for b in range(call.batch if call.batch > 1 else 0):
        entry = slice(b, b + 1)
        labels = entry if len(call.query_labels) > 1 else slice(None)
        out = trial.run(
            trial.changed(
                **{
                    name: getattr(call, name)[entry]
                    for name in ("query", "key", "value", "attract", "repel")
                },
                query_labels=call.query_labels[labels],
                key_labels=call.key_labels[labels],
            )
        )
        what = f"batch entry {b} by itself gives"
        trial.compare("batch", trial.result[entry], array(out), what)
    if call.heads > 1:
        heads = {name: getattr(call, name)[:, -1:] for name in ("query", "key", "value")}
        out = trial.run(trial.changed(**heads))
        trial.compare(
            "batch", trial.result[:, -1:], array(out), f"head {call.heads - 1} by itself gives"
        )


@_property("order")
def order(trial: Trial) -> None:
    """A class order that the caller keeps changes no result."""
    kept = trial.changed().class_order()
    before = [tensor.clone() for tensor in kept.tensors()]
    out = trial.run(trial.changed(order=kept))
    trial.compare("order", array(out), trial.result, "without the caller's class order it is")
    for field, tensor, copy in zip(fields(kept), kept.tensors(), before, strict=True):
        if not torch.equal(tensor, copy):
            raise trial.broken("inputs", f"`order.{field.name}` is changed by the call")


_property("masked")(key_properties.masked)
_property("padding")(key_properties.padding)
_property("partials")(key_properties.partials)
_property("joint")(key_properties.joint)


@_property("repeat")
def repeat(trial: Trial) -> None:
    """The same call gives the same bits."""
    again = trial.run(trial.call)
    if not torch.equal(again, trial.out):
        away = float((again.double() - trial.out.double()).abs().max())
        raise trial.broken("repeat", f"the same call gives another result, up to {away:.3g} away")


def _tensors(call: Any) -> dict[str, Tensor]:
    return {
        field.name: value
        for field in fields(call)
        if isinstance(value := getattr(call, field.name), Tensor)
    }


def _rows_alike(trial: Trial, wrong: np.ndarray[Any, np.dtype[np.bool_]]) -> str:
    """What all wrong rows have in common, and not all rows have; in words."""
    rows_BHN = wrong.any(-1)
    found = [
        words for words, mask in _groups(trial) if not mask.all() and not (rows_BHN & ~mask).any()
    ]
    return f"; only {found[0]} are wrong" if found else ""


def _groups(trial: Trial) -> list[tuple[str, Any]]:
    """Groups of rows that a mistake may be confined to, as masks ``[B, H, N]``."""
    from grainspec_runtime.testing.attention.definition import positive_pairs

    x, call = trial.numbers, trial.call
    positive = positive_pairs(x)
    whole = (call.batch, call.heads, call.queries)

    def of_rows(mask_BN: Any) -> Any:
        return np.broadcast_to(mask_BN[:, None], whole)

    index = np.arange(call.queries)
    groups: list[tuple[str, Any]] = [
        ("rows without a positive key", of_rows(~positive.any(-1))),
        ("rows without a negative key", of_rows(positive.all(-1))),
        ("rows with positive and negative keys", of_rows(positive.any(-1) & ~positive.all(-1))),
        ("rows of classes from 256", of_rows(x.query_labels_BN > 255)),
        ("rows with λ⁺ = 1", of_rows(x.attract_BN == 1)),
        ("rows with λ⁻ = 1", of_rows(x.repel_BN == 1)),
        ("rows with λ⁺ = 0", of_rows(x.attract_BN == 0)),
        ("rows with λ⁻ = 0", of_rows(x.repel_BN == 0)),
        (
            "batch entries after the first",
            np.broadcast_to(np.arange(call.batch)[:, None, None] > 0, whole),
        ),
        ("heads after the first", np.broadcast_to(np.arange(call.heads)[:, None] > 0, whole)),
    ]
    for block in (128, 64, 32, 16, 8):
        last = np.broadcast_to(index >= call.queries // block * block, whole)
        groups.append((f"rows beyond a multiple of {block}", last))
    groups.append(("the last row", np.broadcast_to(index == call.queries - 1, whole)))
    return groups
