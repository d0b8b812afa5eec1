"""Ctrl-C and SIGTERM while Ray starts, works or ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Raise KeyboardInterrupt for a Ctrl-C or SIGTERM inside the block at its end only.

    A start of Ray that is interrupted leaves processes behind, and the command may crash. A second
    Ctrl-C interrupts the block nevertheless: there may be nobody at the address of a cluster.
    """
    noted: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(signum)

    with _handled_by(note):
        yield
    if noted:
        raise KeyboardInterrupt


@contextmanager
def interrupts_kept() -> Iterator[Callable[[], None]]:
    """Raise KeyboardInterrupt for a Ctrl-C or SIGTERM at once, and again in the function it gives.

    An exception that is raised while a library calls back may be lost there, and with it the
    interrupt: a loop in the block calls the function, which then raises it once more.
    """
    noted: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:
        noted.append(signum)
        raise KeyboardInterrupt

    def again() -> None:
        if noted:
            raise KeyboardInterrupt

    with _handled_by(note):
        yield again


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Ignore Ctrl-C and SIGTERM inside the block, which ends the processes by itself."""
    with _handled_by(lambda signum, frame: None):
        yield


@contextmanager
def _handled_by(handler: Any) -> Iterator[None]:
    """Handle both signals so inside the block; nothing in threads, which receive none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {kind: signal.signal(kind, handler) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for kind, known in before.items():
            signal.signal(kind, signal.SIG_DFL if known is None else known)
