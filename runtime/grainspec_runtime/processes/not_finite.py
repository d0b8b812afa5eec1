"""Which layer made values that are no numbers: found by running the step again and looking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from grainspec.diagnostics import GrainError, fail


def not_finite(where: str, unet: nn.Module, again: Callable[[], object]) -> GrainError:
    """The error (G505) for a step, ``where``, that gave values that are no numbers.

    ``again`` runs ``unet`` once more as that step did; no more than one more pass is spent on it.
    """
    layer, fault = _first_bad_layer(unet, again)
    if layer is None:
        message = f"{where} gave values that are no numbers, though the UNet gave none"
        return fail("G505", message, "Lower `guidance`, or run in float32 with `--dtype float32`.")
    message = f"{where} gave values that are no numbers, first in the UNet's {layer}"
    if fault:
        return fail("G505", f"{message}: {fault}", "Fetch the model, or its LoRA, again.")
    return fail("G505", message, "Run in float32 with `--dtype float32`, or lower `guidance`.")


def _first_bad_layer(unet: nn.Module, again: Callable[[], object]) -> tuple[str | None, str | None]:
    """The first place, in the order that layers run, and what is wrong with its weights."""
    found: list[tuple[str, str | None]] = []

    def look(name: str, module: nn.Module, before: Any, after: Any) -> None:
        if found or _finite(after):
            return
        if _finite(before):
            broken = any(not _finite(weight) for weight in module.parameters())
            found.append((f"layer {name}", "its weights are no numbers" if broken else None))
        elif ".to_out" in name:
            found.append((f"attention {name.partition('.to_out')[0]}", None))
        else:
            found.append((f"blocks on the way to {name}", None))

    with _watched(unet, look), torch.no_grad(), torch.compiler.set_stance("force_eager"):
        again()
    return found[0] if found else (None, None)


@contextmanager
def _watched(unet: nn.Module, look: Callable[[str, nn.Module, Any, Any], None]) -> Iterator[None]:
    """Inside, ``look`` gets the name, input and output of every layer that has none within it."""
    handles = []
    for name, module in unet.named_modules():
        if not any(True for _ in module.children()):

            def hook(module: nn.Module, before: Any, after: Any, name: str = name) -> None:
                look(name, module, before, after)

            handles.append(module.register_forward_hook(hook))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _finite(values: Any) -> bool:
    if isinstance(values, Tensor):
        return not values.is_floating_point() or bool(values.isfinite().all())
    if isinstance(values, tuple | list):
        return all(map(_finite, values))
    return True
