"""Compute the attention of diffusers' processors in another way, and leave the rest to them.

A processor of a transformer projects, normalizes and rotates queries and keys, and ends in
``dispatch_attention_fn(query, key, value, …, backend=self._attention_backend)``.
:class:`Intercepted` runs the processor's own code with this one function replaced, so that fused
projections, LoRAs, quantized weights and what diffusers changes in a processor need nothing here.

Of the ways to intercept that call, this one leaves a network under ``torch.compile`` in one graph
(a ``TorchFunctionMode`` around scaled_dot_product_attention breaks it at every layer), has no cost
that can be measured, works with any attention backend of the user, and is local to the layer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

from torch import Tensor

from grainspec.diagnostics import fail
from grainspec_runtime.modulation.layers import Attention, AttentionLayer

_DISPATCH = "dispatch_attention_fn"


class Intercepted:
    """A processor that stands in for a stock one, and computes its attention by an ``Attention``.

    Calls whose attention is plain go to the stock processor as they are, with the attention backend
    that it was set to. In all others, that of the latent tokens is computed by ``attention``;
    ``before`` attentions that the processor computes ahead of it (to the keys of a picture) remain
    its own.
    """

    def __init__(self, attention: Attention, layer: AttentionLayer, *, before: int = 0) -> None:
        self.layer = layer
        self._attention = attention
        self._before = before
        self._computed = 0  # attentions of this call so far
        self._stock: Any = None
        self._twin: Any = None
        self._run: Callable[..., Tensor] | None = None

    def follow(self, stock: Any) -> None:
        """Stand in for a processor, whose class :func:`is_dispatching` accepts."""
        if stock is self._stock:
            return
        self._stock = stock
        self._twin = copy.copy(stock)
        self._twin._attention_backend = self._dispatched  # to which `_handed_over` gives the call
        self._twin._parallel_config = None
        self._run = _handing_over(type(stock).__call__)

    def __call__(self, module: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Compute a layer; arguments as those of the stock processor."""
        if self._attention.is_plain(self.layer):
            out: Tensor = self._stock(module, *args, **kwargs)
            return out
        assert self._run is not None
        self._computed = 0
        return self._run(self._twin, module, *args, **kwargs)

    @property
    def _attention_backend(self) -> Any:
        """The attention backend of the processor that it stands in for; others set it here."""
        return self._stock._attention_backend

    @_attention_backend.setter
    def _attention_backend(self, backend: Any) -> None:
        self._stock._attention_backend = backend

    def _dispatched(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **how: Any
    ) -> Tensor:
        """Compute an attention of the processor; tensors are ``[B, N, H, d]`` here."""
        self._computed += 1
        if self._computed <= self._before:
            plain = type(self._stock).__call__.__globals__[_DISPATCH]
            backend = self._stock._attention_backend
            out: Tensor = plain(query, key, value, attn_mask=attn_mask, backend=backend, **how)
            return out
        if attn_mask is not None:
            message = f"the layer {self.layer.name} receives an attention mask"
            raise fail("G414", message, "Call the transformer without attention masks.")
        attend = (
            self._attention.cross_attention
            if self.layer.kind == "cross"
            else self._attention.self_attention
        )
        q, k, v = (tensor.transpose(1, 2) for tensor in (query, key, value))
        return attend(self.layer, q, k, v).transpose(1, 2)


def is_dispatching(processor: type) -> bool:
    """Return whether a class of processors computes attention by ``dispatch_attention_fn``."""
    call = processor.__call__
    return isinstance(call, FunctionType) and _DISPATCH in call.__code__.co_names


@cache
def _handing_over(call: FunctionType) -> Callable[..., Tensor]:
    """Return a processor's ``__call__`` whose attention is computed by ``_attention_backend``."""
    names = call.__globals__ | {_DISPATCH: _handed_over}
    # torch.compile looks names up in the module of this name, if it is there
    del names["__name__"]
    copied = FunctionType(call.__code__, names, call.__name__, call.__defaults__, call.__closure__)
    copied.__kwdefaults__ = call.__kwdefaults__
    return copied


def _handed_over(query: Tensor, key: Tensor, value: Tensor, *, backend: Any, **how: Any) -> Tensor:
    out: Tensor = backend(query, key, value, **how)
    return out
