"""Run functions around every call of a denoiser, whether it is compiled or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import nn


class Around(Protocol):
    """What runs around a call."""

    def before(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of the call, by name, from those that it was made with."""

    def after(self) -> None:
        """Run at the end of a call that :meth:`before` began, also where it raised."""


@contextmanager
def around_calls(module: nn.Module, names: list[str], around: Around) -> Iterator[None]:
    """Run ``around`` around the calls of a module inside the block.

    ``names`` are the parameters of the module's ``forward``, in their order. A module that was
    compiled in place has its hooks compiled into graphs, which are not made anew for later hooks,
    so its compiled function is wrapped instead.
    """
    if module._compiled_call_impl is None:
        hooks: Any = _hooked(module, names, around)
    else:
        hooks = _wrapped(module, names, around)
    with hooks:
        yield


@contextmanager
def _hooked(module: nn.Module, names: list[str], around: Around) -> Iterator[None]:
    # If the module is compiled inside the block, these hooks become part of its graphs.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not open_:
            return args, kwargs
        return (), around.before(_by_name(names, args, kwargs))

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def after(*_: Any) -> None:
        if open_:
            around.after()

    open_ = True
    handles = [
        module.register_forward_pre_hook(before, with_kwargs=True),
        module.register_forward_hook(after, prepend=True, always_call=True),
    ]
    try:
        yield
    finally:
        open_ = False
        for handle in handles:
            handle.remove()


@contextmanager
def _wrapped(module: nn.Module, names: list[str], around: Around) -> Iterator[None]:
    compiled: Callable[..., Any] = module._compiled_call_impl  # type: ignore[assignment]

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return compiled(**around.before(_by_name(names, args, kwargs)))
        finally:
            around.after()

    module._compiled_call_impl = call
    try:
        yield
    finally:
        if module._compiled_call_impl is call:
            module._compiled_call_impl = compiled


def is_followed(module: nn.Module, followed: nn.Module) -> bool:
    """Return whether calls of ``module`` are calls of ``followed``, or of it as compiled."""
    return module is followed or getattr(module, "_orig_mod", None) is followed


def _by_name(names: list[str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(names, args, strict=False)) | kwargs
