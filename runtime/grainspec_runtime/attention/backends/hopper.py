"""The backend ``hopper``: the fused pass with a kernel for Hopper GPUs, written in Gluon.

The backend ``triton`` prefers it for many keys wherever it can run, and is its fallback.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from grainspec_runtime.attention.backends.backend import Backend
from grainspec_runtime.attention.backends.kernel_inputs import padded_width, prepared
from grainspec_runtime.attention.call import AttentionCall
from grainspec_runtime.attention.partial_result import Partials

FAILED: dict[tuple[int, torch.dtype], str] = {}
"""Padded head sizes and dtypes whose kernel failed, and why; they are not tried again."""


def run(call: AttentionCall) -> Tensor:
    """Equation (3) of :mod:`grainspec_runtime.attention.operator`."""
    with _launching(call):
        from grainspec_runtime.attention.backends import hopper_kernel

        return hopper_kernel.launch(prepared(call))[..., : call.width]


def partials(call: AttentionCall) -> Partials:
    """The terms of equation (3)."""
    with _launching(call):
        from grainspec_runtime.attention.backends import hopper_kernel

        found = hopper_kernel.launch_partials(prepared(call))
    return replace(found, outputs_SBHNd=found.outputs_SBHNd[..., : call.width])


@contextmanager
def _launching(call: AttentionCall) -> Iterator[None]:
    """Launch on the tensors' device, and remember what fails."""
    try:
        # Triton launches on torch's current device, which can differ from the tensors'.
        with torch.cuda.device_of(call.query):
            yield
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # Gluon is young: another version of Triton may not compile it
        FAILED[padded_width(call.width), call.query.dtype] = f"its kernel failed ({error})"
        raise


@cache
def why_no_gluon() -> str | None:
    """Why the kernel's source cannot be imported; None if it can."""
    try:
        from grainspec_runtime.attention.backends import hopper_kernel  # noqa: F401
    except Exception as error:  # Gluon is young, and its names change
        return f"this version of Triton has no suitable Gluon ({error})"
    return None


@cache
def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)


def why_no_hopper(device: torch.device) -> str | None:
    """Why kernels for Hopper GPUs cannot run there; None if they can."""
    if torch.version.cuda is None or _capability(device) != (9, 0):
        return "`hopper` requires a Hopper GPU (compute capability 9.0)"
    return None


def _probe(device: torch.device, dtype: torch.dtype, width: int) -> str | None:
    return why_no_hopper(device) or why_no_gluon() or FAILED.get((padded_width(width), dtype))


BACKEND = Backend(
    "hopper",
    run,
    devices=("cuda",),
    dtypes=(torch.float16, torch.bfloat16),
    partials=partials,
    widest=160,  # with larger heads two tiles of keys and values do not fit in shared memory
    probe=_probe,
    compiles=True,
    fallback="triton",
)
