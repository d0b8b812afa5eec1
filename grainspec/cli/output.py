"""How commands speak: findings for people on stderr, JSON for machines on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar

import click

from grainspec.diagnostics import Diagnostic

Format = Literal["text", "json"]
Command = TypeVar("Command", bound=Callable[..., Any])


def format_option(command: Command) -> Command:
    """Give a command ``--format text|json``."""
    return click.option(
        "--format",
        "format_",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Text for people, JSON for machines.",
    )(command)


def print_findings(
    findings: Iterable[Diagnostic],
    *,
    source: str | None = None,
    path: str | None = None,
    format: Format = "text",
) -> None:
    """Show findings: on stderr with the lines at fault, or as one JSON object on stdout."""
    found = list(findings)
    if format == "json":
        print_json({"files": [{"path": path, "diagnostics": [f.as_json() for f in found]}]})
        return
    if not found:
        return
    from rich.console import Console

    from grainspec.diagnostics.render import render

    console = Console(file=sys.stderr, soft_wrap=True, highlight=False)
    console.print(render(found, source=source, path=path))


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def counted(count: int, word: str) -> str:
    """``"1 error"``, ``"2 errors"``."""
    return f"{count} {word}{'s' * (count != 1)}"
