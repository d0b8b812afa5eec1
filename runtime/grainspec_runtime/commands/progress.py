"""Progress bars on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeRemaining

from grainspec.cli.output import Format


@contextmanager
def progress_bars(format: Format) -> Iterator[Any]:
    """Show a progress bar per stage on stderr; yields the progress callback.

    The callback takes the name of a stage, its finished steps and its total steps.
    """
    console = Console(stderr=True, quiet=format == "json")
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        TextColumn("{task.completed:>3.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemaining(),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            elif done == total == 1:  # the end of a stage
                task = bars.tasks[tasks[stage]]
                bars.update(tasks[stage], completed=task.total)
            else:
                bars.update(tasks[stage], completed=done, total=total)

        yield update
