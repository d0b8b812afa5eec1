"""One thread for what takes long: of several tasks for a key, only the latest is done."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Condition, Event, Thread

Work = Callable[[Callable[[], bool]], None]
"""A task; it is given a function that says whether it was cancelled."""

_log = logging.getLogger(__name__)


class Worker:
    """A thread that does the latest task of each key; it ends with the process."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Work, Event]] = {}
        self._running: dict[str, Event] = {}
        self._change = Condition()
        self._thread: Thread | None = None
        self._ended = False

    def do(self, key: str, work: Work) -> None:
        """Do a task soon, instead of an earlier one of the same key."""
        self.cancel(key)
        with self._change:
            self._waiting[key] = work, Event()
            if self._thread is None:
                self._thread = Thread(target=self._run, name="grain-checks", daemon=True)
                self._thread.start()
            self._change.notify()

    def cancel(self, key: str) -> None:
        """Drop the task of a key, or tell it to stop."""
        with self._change:
            self._waiting.pop(key, None)
            if key in self._running:
                self._running[key].set()

    def end(self) -> None:
        """Stop the thread after what it does now."""
        with self._change:
            self._ended = True
            self._waiting.clear()
            for stop in self._running.values():
                stop.set()
            self._change.notify()

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._ended)
                if self._ended:
                    return
                key = next(iter(self._waiting))
                work, stop = self._waiting.pop(key)
                self._running[key] = stop
            try:
                work(stop.is_set)
            except Exception:
                _log.exception("a check failed")
            finally:
                with self._change:
                    self._running.pop(key, None)
