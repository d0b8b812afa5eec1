"""A line on a terminal about work that takes longer than a second."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_SILENT, _APART = 1.0, 0.1
"""Seconds before the first line, and between two."""


class Waiting:
    """Progress as a line on stderr that replaces itself; nothing if stderr is no terminal.

    Called with what is done and the total; the line is removed when both are equal.
    """

    def __init__(self, what: str, stream: TextIO | None = None) -> None:
        self.what = what
        self.stream = stream or sys.stderr
        self._next = time.monotonic() + _SILENT
        self._width = 0

    def __call__(self, done: int, total: int) -> None:
        """Show what is done, if it is time to."""
        now = time.monotonic()
        if done < total and (now < self._next or not self.stream.isatty()):
            return
        self._next = now + _APART
        line = f"{self.what} {done} of {total}" if done < total else ""
        if line or self._width:
            print(
                f"\r{line:<{self._width}}", end="" if line else "\r", file=self.stream, flush=True
            )
        self._width = len(line)
