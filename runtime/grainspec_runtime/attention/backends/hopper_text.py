"""A prompt's keys on a Hopper GPU: a road of the backend ``triton``, which users cannot choose."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from grainspec_runtime.attention.backends import hopper
from grainspec_runtime.attention.backends.backend import Backend
from grainspec_runtime.attention.backends.kernel_inputs import prepared
from grainspec_runtime.attention.call import AttentionCall

WIDTHS = (64, 128)
"""The head sizes of video transformers, which need no padding."""

MOST_KEYS = 1024
"""Beyond, :mod:`.hopper_kernel` is faster, which finds the extremes on its way."""

FAILED: dict[tuple[int, torch.dtype], str] = {}
"""Head sizes and dtypes whose kernel failed, and why; they are not tried again."""


def run(call: AttentionCall) -> Tensor:
    """Equation (2) of :mod:`grainspec_runtime.attention.operator`."""
    from grainspec_runtime.attention.backends import hopper_text_kernel

    try:
        # Triton launches on torch's current device, which can differ from the tensors'.
        with torch.cuda.device_of(call.query):
            return hopper_text_kernel.launch(prepared(call))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # Gluon is young: another version of Triton may not compile it
        FAILED[call.width, call.query.dtype] = f"its kernel failed ({error})"
        raise


@cache
def why_no_gluon() -> str | None:
    """Why the kernel's source cannot be imported; None if it can."""
    try:
        from grainspec_runtime.attention.backends import hopper_text_kernel  # noqa: F401
    except Exception as error:  # Gluon is young, and its names change
        return f"this version of Triton has no suitable Gluon ({error})"
    return None


def _probe(device: torch.device, dtype: torch.dtype, width: int) -> str | None:
    if width not in WIDTHS:
        return f"the kernel supports head sizes of {' and '.join(map(str, WIDTHS))}, not {width}"
    return hopper.why_no_hopper(device) or why_no_gluon() or FAILED.get((width, dtype))


BACKEND = Backend(
    "hopper_text",
    run,
    devices=("cuda",),
    dtypes=(torch.float16, torch.bfloat16),
    features=frozenset({"soft", "neutral", "masked"}),
    probe=_probe,
    compiles=True,
    fallback="triton",
)
