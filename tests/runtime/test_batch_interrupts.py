"""A Ctrl-C that a library swallows is raised once more."""

from __future__ import annotations

import contextlib
import os
import signal

import pytest

from grainspec_runtime.batch.interrupts import interrupts_kept


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_was_lost_is_raised_again(kind: signal.Signals) -> None:
    before = signal.getsignal(kind)
    with interrupts_kept() as interrupted:
        interrupted()
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), kind)
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    assert signal.getsignal(kind) is before
