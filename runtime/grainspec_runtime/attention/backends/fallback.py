"""Fall back from one backend to another, with one warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor

from grainspec_runtime.attention.backends.backend import Backend
from grainspec_runtime.attention.call import AttentionCall

Result = TypeVar("Result")


def attempt(backend: Backend, call: AttentionCall) -> Tensor | None:
    """The backend's result; None, after a warning, if a kernel that it compiles fails."""
    return attempt_by(backend, backend.run, call)


def attempt_by(
    backend: Backend, compute: Callable[[AttentionCall], Result], call: AttentionCall
) -> Result | None:
    """What a function of the backend's gives; None, after a warning, if its kernel fails.

    Raises:
        torch.OutOfMemoryError: is passed on, like every error of a backend that compiles nothing.
    """
    try:
        return compute(call)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a missing C compiler, for example: Triton raises many kinds
        if not backend.compiles:
            raise
        warn_fallback(backend.name, backend.fallback, f"its kernel failed ({error})")
        return None


@cache
def warn_fallback(backend: str, fallback: str, reason: str) -> None:
    """Warn that ``fallback`` runs instead of ``backend``; only the first time."""
    message = f"attention falls back from `{backend}` to `{fallback}`: {reason}"
    warnings.warn(message, RuntimeWarning, stacklevel=3)
