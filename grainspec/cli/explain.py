"""``grain explain``: what a code means, with a wrong and a corrected example."""

from __future__ import annotations

import re
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
"""The maximum width of prose; longer lines are hard to read on any terminal."""

SHORTEST_LINE = 20
"""The width on terminals that say they have less, or none."""

_CALLED = {
    "grain": "a spec",
    "json": "a spec as JSON",
    "python": "in Python",
    "sh": "on the command line",
    "text": "files on disk",
}
"""The heading for each kind of example."""

_COLOURS = {"error": "red", "warning": "yellow"}


@click.command
@click.argument("code", required=False)
@format_option
def explain(code: str | None, format_: Format) -> None:
    """Explain an error code, with a wrong and a corrected example.

    Without CODE, list all codes.

    \b
    Examples:
      grain explain G104
      grain explain
      grain explain G104 --format json
    """
    wanted = _known(code) if code is not None else None

    from grainspec.diagnostics.explanations import explanations

    by_code = explanations()
    if format_ == "json":
        if wanted is None:
            print_json({"codes": [explanation.as_json() for explanation in by_code.values()]})
        else:
            print_json(by_code[wanted].as_json())
        return
    from rich.console import Console

    console = Console(highlight=False)
    if wanted is None:
        _list(console, list(by_code.values()))
    else:
        _show(console, by_code[wanted])


def _known(code: str) -> str:
    """The code in its usual form; raise a usage error for an unknown code."""
    wanted = code.strip().upper()
    titles = {**ERRORS, **WARNINGS}
    if wanted in titles:
        return wanted
    shown = "".join(f"\n  {known}  {titles[known]}" for known in _nearest(wanted, titles))
    message = f"unknown code `{visible(code)}`."
    message += f" Similar codes:{shown}" if shown else " Codes have the form `G104`."
    raise click.BadParameter(f"{message}\n`grain explain` lists all codes.", param_hint="CODE")


def _nearest(wanted: str, titles: dict[str, str]) -> list[str]:
    """Up to three similar codes, or for a word, codes that have it in their titles."""
    if not any(sign.isdigit() for sign in wanted):
        return [code for code, title in titles.items() if wanted and wanted in title.upper()][:3]

    def distance(known: str) -> tuple[bool, float, int]:
        """Codes with the same characters in another order come first: the most common slip."""
        same_place = sum(a == b for a, b in zip(wanted, known, strict=False))
        alike = SequenceMatcher(None, wanted, known).ratio()
        return sorted(wanted) != sorted(known), -alike, -same_place

    return sorted(titles, key=distance)[:3]


def _list(console: Console, listed: list[Explanation]) -> None:
    from rich.text import Text

    for family, members in groupby(listed, key=lambda explanation: explanation.family):
        text = Text(f"{family}\n", "bold")
        for explanation in members:
            text.append(f"  {explanation.code}", _COLOURS[explanation.severity])
            warning = " (warning)" * (explanation.severity == "warning")
            text.append(f"  {explanation.title}{warning}\n", "not bold")
        console.print(text, soft_wrap=True)
    console.print("Explain one of them with `grain explain CODE`.", soft_wrap=True)


def _show(console: Console, explanation: Explanation) -> None:
    from rich.text import Text

    head = Text()
    severity = explanation.severity
    head.append(f"{severity}[{explanation.code}]", f"bold {_COLOURS[severity]}")
    head.append(f": {explanation.title}\n", "bold")
    console.print(head, soft_wrap=True)
    width = min(max(console.width, SHORTEST_LINE), LONGEST_LINE)
    paragraphs = [_filled(paragraph, width) for paragraph in explanation.text.split("\n\n")]
    text = Text("\n\n".join(paragraphs) + "\n")
    text.highlight_regex(r"`[^`]+`", "cyan")
    console.print(text, soft_wrap=True)
    _show_example(console, "Wrong", "red", explanation.wrong)
    console.print()
    _show_example(console, "Right", "green", explanation.right)


def _filled(paragraph: str, width: int) -> str:
    """Wrap a paragraph, or each item of a list."""
    return "\n".join(
        textwrap.fill(
            item,
            width,
            subsequent_indent="  " if item.startswith("- ") else "",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for item in re.split(r"\n(?=- )", paragraph)
    )


def _show_example(console: Console, verdict: str, colour: str, example: Example) -> None:
    from rich.text import Text

    head = Text(verdict, f"bold {colour}")
    head.append(f" ({_CALLED[example.kind]})\n", "not bold")
    console.print(head, soft_wrap=True)
    # Lines of an example are never wrapped, so that they can be copied.
    lines = "\n".join(f"    {line}".rstrip() for line in example.text.splitlines())
    console.print(Text(lines), soft_wrap=True)
