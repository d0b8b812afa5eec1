"""``grain explain``: what a code means, with an example of the mistake and of its cure."""

from __future__ import annotations

import textwrap
from difflib import SequenceMatcher
from itertools import groupby
from typing import TYPE_CHECKING

import click

from grainspec.cli.output import Format, format_option, print_json
from grainspec.diagnostics.codes import ERRORS, WARNINGS
from grainspec.diagnostics.diagnostic import visible

if TYPE_CHECKING:
    from rich.console import Console

    from grainspec.diagnostics.explanations import Example, Explanation

LONGEST_LINE = 88
"""Longer lines of prose are hard to read, however wide the terminal is."""

_CALLED = {
    "grain": "a spec",
    "json": "a spec as JSON",
    "python": "in Python",
    "sh": "on the command line",
    "text": "files on disk",
}
"""What an example is, for people."""

_COLOURS = {"error": "red", "warning": "yellow"}


@click.command
@click.argument("code", required=False)
@format_option
def explain(code: str | None, format_: Format) -> None:
    """Explain a finding's code, with an example of the mistake and of its cure.

    Without CODE, list all codes.

    \b
    Examples:
      grain explain G104
      grain explain
      grain explain G104 --format json
    """
    wanted = _known(code) if code is not None else None

    from grainspec.diagnostics.explanations import explanations

    found = explanations()
    if format_ == "json":
        if wanted is None:
            print_json({"codes": [explanation.as_json() for explanation in found.values()]})
        else:
            print_json(found[wanted].as_json())
        return
    from rich.console import Console

    console = Console(highlight=False)
    if wanted is None:
        _list(console, list(found.values()))
    else:
        _show(console, found[wanted])


def _known(code: str) -> str:
    """The code as it is written in findings; a usage error for one that there is not."""
    wanted = code.strip().upper()
    titles = {**ERRORS, **WARNINGS}
    if wanted in titles:
        return wanted
    shown = "".join(f"\n  {known}  {titles[known]}" for known in _nearest(wanted, titles))
    message = f"there is no code `{visible(code)}`."
    message += f" Did you mean one of these?{shown}" if shown else " A code looks like `G104`."
    raise click.BadParameter(f"{message}\n`grain explain` lists all codes.", param_hint="CODE")


def _nearest(wanted: str, titles: dict[str, str]) -> list[str]:
    """The three codes most like ``wanted``; those with it in their title, if it is a word."""
    if not any(sign.isdigit() for sign in wanted):
        return [code for code, title in titles.items() if wanted and wanted in title.upper()][:3]

    def distance(known: str) -> tuple[bool, float, int]:
        """The same signs in another order first: they are the commonest slip."""
        same_place = sum(a == b for a, b in zip(wanted, known, strict=False))
        alike = SequenceMatcher(None, wanted, known).ratio()
        return sorted(wanted) != sorted(known), -alike, -same_place

    return sorted(titles, key=distance)[:3]


def _list(console: Console, found: list[Explanation]) -> None:
    from rich.text import Text

    for family, members in groupby(found, key=lambda explanation: explanation.family):
        text = Text(f"{family}\n", "bold")
        for explanation in members:
            text.append(f"  {explanation.code}", _COLOURS[explanation.severity])
            warning = " (warning)" * (explanation.severity == "warning")
            text.append(f"  {explanation.title}{warning}\n", "not bold")
        console.print(text, soft_wrap=True)
    console.print("`grain explain CODE` tells more about one of them.", soft_wrap=True)


def _show(console: Console, explanation: Explanation) -> None:
    from rich.text import Text

    head = Text()
    severity = explanation.severity
    head.append(f"{severity}[{explanation.code}]", f"bold {_COLOURS[severity]}")
    head.append(f": {explanation.title}\n", "bold")
    console.print(head, soft_wrap=True)
    width = min(console.width, LONGEST_LINE)
    paragraphs = [
        textwrap.fill(paragraph, width, break_long_words=False, break_on_hyphens=False)
        for paragraph in explanation.text.split("\n\n")
    ]
    text = Text("\n\n".join(paragraphs) + "\n")
    text.highlight_regex(r"`[^`]+`", "cyan")
    console.print(text, soft_wrap=True)
    _show_example(console, "Wrong", "red", explanation.wrong)
    console.print()
    _show_example(console, "Right", "green", explanation.right)


def _show_example(console: Console, verdict: str, colour: str, example: Example) -> None:
    from rich.text import Text

    head = Text(verdict, f"bold {colour}")
    head.append(f" ({_CALLED[example.kind]})\n", "not bold")
    console.print(head, soft_wrap=True)
    # Lines of an example are never broken, so that they can be copied.
    lines = "\n".join(f"    {line}".rstrip() for line in example.text.splitlines())
    console.print(Text(lines), soft_wrap=True)
