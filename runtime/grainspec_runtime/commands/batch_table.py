"""How a batch is shown: its live table on stderr, and its status as text."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from grainspec.cli.output import Format, say
from grainspec_runtime.commands.columns import aligned
from grainspec_runtime.commands.progress import Shown

_STAGES = ("preparing", "waiting", "inverting", "sampling", "saving", "done", "set aside")
_TITLES = {
    "preparing": "prepare",
    "waiting": "wait",
    "inverting": "invert",
    "sampling": "sample",
    "saving": "save",
}
"""Short ones, so that the table fits a terminal of 80 columns."""
_FAILURES = 20

Told = Callable[[Mapping[str, Any]], None]


@contextmanager
def live_table(format: Format, shown: Shown, total: int) -> Iterator[Told]:
    """Show the stages of a batch of ``total`` jobs; yields what receives its facts."""
    if shown == "json":
        yield lambda facts: say(json.dumps({"batch": _facts(facts)}), err=True)
        return
    console = Console(stderr=True, quiet=format == "json")
    if not console.is_terminal:
        yield lambda facts: None
        return
    start = time.monotonic()
    with Live(console=console, refresh_per_second=2) as live:
        yield lambda facts: live.update(_table(facts, total, time.monotonic() - start))


def _facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: facts.get(name)
        for name in ("jobs", "kept", "stages", "inversions", "longest", "ended")
    }


def _table(facts: Mapping[str, Any], total: int, seconds: float) -> Table:
    stages, kept = facts.get("stages") or {}, facts.get("kept", 0)
    table = Table(box=None, padding=(0, 1, 0, 0))
    for stage in (
        "jobs",
        "kept",
        *(_TITLES.get(name, name) for name in _STAGES),
        "workers",
        "left",
    ):
        table.add_column(stage, justify="right")
    cells = [total, kept, *(stages.get(stage, 0) for stage in _STAGES)]
    workers = len(facts.get("workers") or ())
    ended = stages.get("done", 0) + stages.get("set aside", 0)
    left = f"{(total - kept - ended) * seconds / ended / 60:.0f} min" if ended else ""
    table.add_row(*map(str, cells), str(workers), left)
    if stages.get("measuring"):
        table.caption = f"kept jobs to measure: {stages['measuring']}"
    elif facts.get("longest"):
        table.caption = f"longest at work: {longest_text(facts)}"
    return table


def longest_text(facts: Mapping[str, Any]) -> str:
    """Say which job has been in its stage for the longest time.

    >>> longest_text({"longest": {"stage": "sampling", "job": "a-1", "host": "h", "seconds": 75}})
    'sampling a-1 on h for 1 min 15 s'
    """
    longest = facts["longest"]
    minutes, seconds = divmod(round(longest["seconds"]), 60)
    host = f" on {longest['host']}" if longest["host"] else ""
    time_ = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    return f"{longest['stage']} {longest['job']}{host} for {time_}"


def status_text(facts: Mapping[str, Any]) -> str:
    """Format a batch's state for reading."""
    lines = [
        f"{facts['state']}: {facts['done']} of {facts['jobs']} jobs are done, "
        f"{facts['set_aside']} set aside, {facts['left']} left"
    ]
    if facts["state"] == "running":
        stages = ", ".join(f"{count} {stage}" for stage, count in facts["stages"].items() if count)
        lines.append(f"{len(facts['workers'])} workers; {stages}")
        lines += [f"longest at work: {longest_text(facts)}"] if facts.get("longest") else []
    if facts["state"] == "interrupted":
        lines.append("give the same command again to resume it")
    if facts["seconds"]:
        rows = [["stage", "jobs", "mean"]]
        for stage, told in facts["seconds"].items():
            rows.append([stage, str(told["jobs"]), f"{told['mean_seconds']:.2f} s"])
        lines += aligned(rows)
    lines += failure_lines(facts["failed"], "write `--format json`")
    return "\n".join(lines)


def failure_lines(rows: Sequence[Mapping[str, Any]], all_: str) -> list[str]:
    """Say why jobs are set aside, of at most 20; ``all_`` says how to see the others.

    >>> failure_lines([{"name": "a", "place": "e.grain:8:1", "code": "G001", "message": "no"}], "")
    ['set aside a: e.grain:8:1: G001: no']
    """
    lines = []
    for row in rows[:_FAILURES]:
        place = f"{row['place']}: " if row.get("place") else ""
        lines.append(f"set aside {row['name']}: {place}{row['code']}: {row['message']}")
    if len(rows) > _FAILURES:
        lines.append(f"and {len(rows) - _FAILURES} more: {all_}")
    return lines
