"""The output of commands: findings on stderr for people, JSON on stdout for programs.

Every command prints through this module, because what it prints may contain names, prompts and
messages from anyone's files, and a terminal obeys control characters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar

import click

from grainspec.diagnostics import Diagnostic, visible
from grainspec.diagnostics.diagnostic import UNSAFE

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


def say(text: str, *, err: bool = False, end: str = "\n") -> None:
    r"""Print lines, on stderr if ``err``; control characters become escapes, as ``\x1b``."""
    lines = "\n".join(map(visible, text.split("\n")))
    print(lines, file=sys.stderr if err else sys.stdout, end=end)


def print_text(text: str) -> None:
    """Print a text as it is, for programs; on a terminal, control characters become escapes."""
    if sys.stdout is not None and sys.stdout.isatty():
        say(text, end="")
    else:
        print(text, end="")


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on stdout; characters that control a terminal become its escapes."""
    lines = json.dumps(value, indent=2, ensure_ascii=False).split("\n")
    print("\n".join(UNSAFE.sub(lambda sign: f"\\u{ord(sign[0]):04x}", line) for line in lines))


def counted(count: int, word: str) -> str:
    """A number and a noun: ``"1 error"``, ``"2 errors"``."""
    return f"{count} {word}{'s' * (count != 1)}"
