"""Progress of ``grain bench --clips`` on stderr: bars on a terminal, else lines."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from grainspec.cli.output import Format, counted, say
from grainspec_runtime.bench.own.run import Outcome


class ClipProgress:
    """What the benchmark does, with an estimate of the time that is left.

    A result is one method's edit of one clip. The estimate is the mean time of all so far that were
    not kept from before, for each that is still to come.
    """

    def __init__(self, total: int, bars: Bars | None, *, quiet: bool) -> None:
        self.total = total
        self.outcomes: Counter[str] = Counter()
        self._bars = bars
        self._quiet = quiet
        self._seconds = 0.0
        self._began = 0.0
        self._title = ""
        self._tasks = [bars.add_task("", total=it, left="") for it in (total, 1)] if bars else []

    @property
    def finished(self) -> int:
        """How many results there are already, made now or before."""
        return self.outcomes["made"] + self.outcomes["kept"]

    @property
    def left(self) -> str:
        """About how long it still takes; empty before the first result is made."""
        ended = self.outcomes.total()
        if not self.outcomes["made"] or ended >= self.total:
            return ""
        mean = self._seconds / (ended - self.outcomes["kept"])
        return f"about {duration(mean * (self.total - ended))} left"

    def begin(self, edit: str, method: str) -> None:
        """A method's edit begins."""
        self._began, self._title = time.monotonic(), f"{edit}, {method}"
        number = self.outcomes.total() + 1
        if self._bars:
            title = f"result {number} of {self.total}"
            self._bars.update(self._tasks[0], description=title, completed=number - 1)
            self._bars.update(self._tasks[0], left=self.left)
            self._bars.reset(self._tasks[1], description=self._title, total=1, left="")
        elif not self._quiet:
            left = f" ({self.left})" if self.left else ""
            say(f"{number} of {self.total}: {self._title}{left}", err=True)

    def stage(self, stage: str, done: int, total: int) -> None:
        """The edit has finished so many steps of a stage."""
        if self._bars:
            title = f"{self._title}: {stage}"
            self._bars.update(self._tasks[1], description=title, completed=done, total=total)

    def end(self, outcome: Outcome, reason: str = "") -> None:
        """The edit was made, or kept from before; or refused before it began, or failed."""
        self.outcomes[outcome] += 1
        if outcome != "kept":
            self._seconds += time.monotonic() - self._began
        if self._bars:
            self._bars.update(self._tasks[0], completed=self.outcomes.total(), left=self.left)
        if outcome == "failed" and not self._quiet:
            say(f"failed: {self._title}: {reason}", err=True)

    def summary(self) -> str:
        """How many results were made and kept, and how many were not."""
        words = {
            "made": "made",
            "kept": "kept from before",
            "refused": "not run",
            "failed": "failed",
        }
        listed = [f"{self.outcomes[it]} {word}" for it, word in words.items() if self.outcomes[it]]
        return f"{counted(self.total, 'result')}: {', '.join(listed)}"


def duration(seconds: float) -> str:
    """A duration in words.

    >>> duration(4.2), duration(100), duration(5000)
    ('5 s', '2 min', '1 h 23 min')
    """
    if seconds < 60:
        return f"{max(1, -(-seconds // 1)):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def clip_progress(total: int, out: Path, format: Format) -> Iterator[ClipProgress]:
    """Show the progress of so many results; with JSON on stdout, nothing is shown.

    If the user interrupts, say how many results are kept in ``out``.
    """
    console = Console(stderr=True)
    columns = (
        BarColumn(20),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[left]}"),
    )
    on_terminal = console.is_terminal and format != "json"
    bars = Bars(*columns, console=console) if on_terminal else None
    watch = ClipProgress(total, bars, quiet=format == "json")
    try:
        with bars or nullcontext():
            yield watch
    except KeyboardInterrupt:
        kept = f"{watch.finished} of {counted(total, 'result')}"
        say(f"{kept} kept in {out}: the same command makes the others", err=True)
        raise
