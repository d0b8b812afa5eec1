"""Denoisers that a plan is applied to now, and who calls them.

``what`` is what a denoiser is called in messages: ``UNet``, ``transformer``.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

from diffusers import DiffusionPipeline
from torch import nn

from grainspec.diagnostics import fail

_in_use: WeakSet[nn.Module] = WeakSet()
_lock = threading.Lock()


@contextmanager
def reserved(denoiser: nn.Module, what: str) -> Iterator[None]:
    """Reserve a denoiser for one plan inside the block; raises GrainError (G413) if it has one."""
    with _lock:
        if denoiser in _in_use:
            message = f"a plan is already applied to this {what}"
            cure = (
                f"Leave the other `with plan_applied(…)` first: a {what} follows one plan at a "
                "time."
            )
            raise fail("G413", message, cure)
        _in_use.add(denoiser)
    try:
        yield
    finally:
        with _lock:
            _in_use.discard(denoiser)


def in_call_of(pipe: Any, what: str) -> bool:
    """Return whether a pipeline is calling its denoiser; False for loops of the user.

    Raises GrainError (G413) if another pipeline that shares it is calling it: a plan follows
    the scheduler and the guidance of its own pipeline.
    """
    caller = _calling_pipeline()
    if caller is None or caller is pipe:
        return caller is pipe
    message = f"the {what} is called by another {type(caller).__name__} than the plan is applied to"
    raise fail("G413", message, "Apply the plan to the pipeline that you call.")


def _calling_pipeline() -> DiffusionPipeline | None:
    """Return the innermost pipeline whose method is on the stack."""
    frame = sys._getframe(1)
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, DiffusionPipeline):
            return owner
        frame = frame.f_back  # type: ignore[assignment]
    return None


class OneThread:
    """Refuses calls of a denoiser from two threads at once."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._caller: int | None = None

    def enter(self) -> None:
        """Begin a call; raises GrainError (G413) if another thread's has not ended."""
        here = threading.get_ident()
        with _lock:
            if self._caller not in (None, here):
                message = f"two threads call the {self._what} at once under a plan"
                raise fail("G413", message, "Call the pipeline from one thread after the other.")
            self._caller = here

    def is_here(self) -> bool:
        """Return whether a call of this thread is under way, and was not refused."""
        return self._caller == threading.get_ident()

    def leave(self) -> None:
        """End this thread's call."""
        with _lock:
            self._caller = None
