"""The output of commands: findings on stderr for people, JSON on stdout for programs."""

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
    """Add the option ``--format text|json`` to a command."""
    return click.option(
        "--format",
        "format_",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Text for people, JSON for programs.",
    )(command)


def print_findings(
    findings: Iterable[Diagnostic],
    *,
    source: str | None = None,
    path: str | None = None,
    format: Format = "text",
) -> None:
    """Print findings: as text with the source lines on stderr, or as a JSON object on stdout."""
    findings = list(findings)
    if format == "json":
        print_json({"files": [{"path": path, "diagnostics": [f.as_json() for f in findings]}]})
        return
    if not findings:
        return
    from rich.console import Console

    from grainspec.diagnostics.render import render

    console = Console(file=sys.stderr, soft_wrap=True, highlight=False)
    console.print(render(findings, source=source, path=path))


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def counted(count: int, word: str) -> str:
    """A number and a noun: ``"1 error"``, ``"2 errors"``."""
    return f"{count} {word}{'s' * (count != 1)}"
