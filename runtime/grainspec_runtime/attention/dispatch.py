"""Which backend runs the operator, and why."""

from __future__ import annotations

import logging
import warnings
from functools import cache
from typing import NamedTuple

import torch

from grainspec_runtime.attention.parts import why_no_xformers

LOG = logging.getLogger("grainspec.attention")

NAMES = ("triton", "rows", "xformers", "dense")
"""The backends: fused, portable, by xFormers' plain attention, and the reference."""


class Choice(NamedTuple):
    """A backend's name, and the reason in words."""

    backend: str
    reason: str


def choose(backend: str, device: torch.device, dtype: torch.dtype, width: int) -> Choice:
    """The backend that will run.

    Args:
        backend: ``"auto"``, or one of ``NAMES`` to force it.
        device, dtype, width: of the query; ``width`` is the head size.

    A forced ``triton`` or ``xformers`` that cannot run gives way to ``rows``, with one warning.

    Raises:
        ValueError: if no backend has that name.
    """
    if backend not in ("auto", *NAMES):
        raise ValueError(f"backend {backend!r} is not one of auto, {', '.join(NAMES)}")
    return _choose(backend, device, dtype, width)


@cache
def _choose(backend: str, device: torch.device, dtype: torch.dtype, width: int) -> Choice:
    if backend in ("rows", "dense"):
        choice = Choice(backend, "asked for")
    elif backend == "xformers":
        why_not = why_no_xformers(device, dtype, width)
        choice = Choice("xformers", "asked for") if why_not is None else Choice("rows", why_not)
        if why_not is not None:
            warn_once(f"attention runs row by row: {why_not}")
    else:
        why_not = why_no_triton(device, dtype, width)
        if why_not is None and (backend == "triton" or device.type == "cuda"):
            choice = Choice("triton", "asked for" if backend == "triton" else "fused, on a GPU")
        else:
            choice = Choice("rows", why_not or "the kernel is interpreted, which is slow")
            if backend == "triton" or device.type == "cuda":
                warn_once(f"attention runs row by row: {choice.reason}")
    LOG.debug(
        "%s attention on %s, %s, heads of %d: %s (%s)",
        backend, device, dtype, width, choice.backend, choice.reason,
    )  # fmt: skip
    return choice


def why_no_triton(device: torch.device, dtype: torch.dtype, width: int) -> str | None:
    """What keeps the fused kernel from running; None if nothing does."""
    try:
        from grainspec_runtime.attention import fused
    except Exception as error:  # an import of Triton can fail in ways of its own
        return f"Triton cannot be imported ({error})"
    if device.type == "cuda":
        if torch.version.cuda is None:
            return "the fused kernel was never tried on AMD GPUs"
        if torch.cuda.get_device_capability(device) < (8, 0):
            return "the fused kernel needs a GPU of compute capability 8.0 or more"
    elif not (device.type == "cpu" and fused.INTERPRETED):
        return f"the fused kernel needs a CUDA GPU, not {device.type}"
    if dtype not in fused.DTYPES:
        return f"the fused kernel does not take {dtype}"
    if width > fused.WIDEST:
        return f"the fused kernel takes heads of at most {fused.WIDEST}, not {width}"
    return None


@cache
def warn_once(message: str) -> None:
    """Warn, the first time."""
    warnings.warn(message, RuntimeWarning, stacklevel=3)
