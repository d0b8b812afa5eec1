"""Find the layer that produced NaN or infinity, by running the step once more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from grainspec.diagnostics import GrainError, fail


def not_finite(step: str, denoiser: nn.Module, again: Callable[[], object]) -> GrainError:
    """Return the error (G505) for a step, such as ``sampling step 3 of 50``, with NaN or infinity.

    ``again`` runs ``denoiser`` as that step did; it is called once.
    """
    layer, fault = _first_bad_layer(denoiser, again)
    if layer is None:
        message = f"{step} produced NaN or infinity, but the output of the denoiser is finite"
        return fail("G505", message, "Lower `guidance`, or run in float32 with `--dtype float32`.")
    message = f"{step} produced NaN or infinity, first in the denoiser's {layer}"
    if fault:
        return fail("G505", f"{message}: {fault}", "Download the model, or its LoRA, again.")
    return fail("G505", message, "Run in float32 with `--dtype float32`, or lower `guidance`.")


def _first_bad_layer(
    denoiser: nn.Module, again: Callable[[], object]
) -> tuple[str | None, str | None]:
    """Return the first such layer, in the order of execution, and the fault in its weights."""
    bad: list[tuple[str, str | None]] = []

    def look(name: str, module: nn.Module, before: Any, after: Any) -> None:
        if bad or _finite(after):
            return
        if _finite(before):
            broken = any(not _finite(weight) for weight in module.parameters())
            bad.append((f"layer {name}", "its weights contain NaN or infinity" if broken else None))
        elif ".to_out" in name:
            bad.append((f"attention {name.partition('.to_out')[0]}", None))
        else:
            bad.append((f"blocks before {name}", None))

    with _watched(denoiser, look), torch.no_grad(), torch.compiler.set_stance("force_eager"):
        again()
    return bad[0] if bad else (None, None)


@contextmanager
def _watched(
    denoiser: nn.Module, look: Callable[[str, nn.Module, Any, Any], None]
) -> Iterator[None]:
    """Call ``look`` with name, input and output of every layer without sublayers, in the block."""
    handles = []
    for name, module in denoiser.named_modules():
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
