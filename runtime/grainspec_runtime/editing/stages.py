"""The stages of a run: report their progress, time them, and explain out-of-memory errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from grainspec_runtime.memory.out_of_memory import is_out_of_memory
from grainspec_runtime.processes.process import Progress

StageProgress = Callable[[str, int, int], None]
"""Called with the name of a stage, its number of finished steps, and its total number."""


class Stages:
    """The stages of one run.

    ``explain`` makes the error to raise if a stage, passed by name, runs out of memory.
    """

    def __init__(
        self,
        progress: StageProgress,
        explain: Callable[[str, BaseException], BaseException],
    ) -> None:
        self._progress = progress
        self._explain = explain
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, variant: str | None = None) -> Iterator[Progress]:
        """Run a stage inside the block, which receives a callback for its progress."""
        start, shown = time.perf_counter(), f"{name} {variant}" if variant else name
        self._progress(shown, 0, 1)
        try:
            yield lambda done, total: self._progress(shown, done, total)
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                raise self._explain(name, error) from error
            raise
        self._progress(shown, 1, 1)
        before = self._seconds.get(name, 0.0)  # a stage may be repeated, for several edits
        self._seconds[name] = round(before + time.perf_counter() - start, 3)

    def take_seconds(self) -> dict[str, float]:
        """Return the wall time in seconds of each stage since the last call."""
        seconds, self._seconds = self._seconds, {}
        return seconds
