"""Progress on stderr: bars for people, lines of JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.progress import TimeRemainingColumn as TimeRemaining

from grainspec.cli.output import Format, say
from grainspec.diagnostics import Diagnostic

Progress = Callable[[str, int, int], None]
"""Called with the name of a stage, its finished steps, and its total steps."""
Shown = Literal["bars", "json"]
Command = TypeVar("Command", bound=Callable[..., Any])


def progress_option(command: Command) -> Command:
    """Add the option ``--progress bars|json`` to a command, as its argument ``shown``."""
    return click.option(
        "--progress",
        "shown",
        type=click.Choice(["bars", "json"]),
        default="bars",
        show_default=True,
        help="Progress on stderr: bars for people, or one JSON object a line for programs. "
        "JSON has a line for each warning too. With `--format json` there are no bars.",
    )(command)


def progress_line(stage: str, done: int, total: int) -> None:
    """Print a line of JSON on stderr: the name of a stage, its finished and its total steps."""
    say(json.dumps({"stage": stage, "done": done, "total": total}), err=True)


def warning_line(finding: Diagnostic) -> None:
    """Print a line of JSON on stderr: a warning, which the result at the end has too."""
    say(json.dumps({"warning": finding.as_json()}), err=True)


@contextmanager
def progress_bars(format: Format, shown: Shown = "bars") -> Iterator[Progress]:
    """Show the progress of stages on stderr; yields the progress callback."""
    if shown == "json":
        yield progress_line
        return
    console = Console(stderr=True, quiet=format == "json")
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        TextColumn("{task.completed:>3.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemaining(),
    )
    with Bars(*columns, console=console) as bars:
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
