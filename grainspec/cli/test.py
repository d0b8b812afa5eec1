"""``grain test``: test the plans of specs against the invariants of every plan."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

import click

from grainspec.cli.output import (
    Format,
    counted,
    format_option,
    print_findings,
    print_json,
    say,
)
from grainspec.diagnostics import GrainError, closest, fail, suggestion, visible
from grainspec.whole_file import whole_file

if TYPE_CHECKING:
    from rich.console import Console

    from grainspec.testing.run import FileResult


@click.command
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--examples",
    type=click.IntRange(0, 10_000),
    metavar="N",
    help="Number of random changes to test, per spec and per variant. Default: 15 in all.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random changes.")
@click.option(
    "--case",
    type=click.IntRange(0, 10_000),
    metavar="N",
    help="Test only the case with this number; 0 is the spec as it is.",
)
@click.option("--variant", metavar="NAME", help="Test only this variant.")
@click.option(
    "--invariant",
    "invariants",
    multiple=True,
    metavar="NAME",
    help="Check only this invariant; may be repeated.",
)
@click.option(
    "--junit",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write the results as JUnit XML.",
)
@click.option("--list", "list_", is_flag=True, help="List the invariants, and test nothing.")
@format_option
def test(
    files: tuple[Path, ...],
    examples: int | None,
    seed: int,
    case: int | None,
    variant: str | None,
    invariants: tuple[str, ...],
    junit: Path | None,
    list_: bool,
    format_: Format,
) -> None:
    """Test the mask plans of specs against invariants.

    Each spec and variant is compiled as it is, and then with random changes: other settings,
    weights, frames, sizes and crops, and regions cut by boxes. The invariants (--list): pairs are
    positive or negative according to the regions, words act only in their own regions, strengths
    follow the equations, parts and kept regions stay separate, and renaming, shifting and reversing
    change the plan only in the expected way. A failure is printed with the smallest spec that fails
    in the same way. Loads no model. Exits with 1 if an invariant is violated.

    \b
    Examples:
      grain test edit.grain
      grain test examples/*.grain --examples 100 --seed 7
      grain test edit.grain --seed 7 --case 31     that case again
      grain test edit.grain --invariant words      only this invariant; may be repeated
      grain test edit.grain --junit results.xml    for continuous integration
      grain test --list                            the invariants, in a sentence each
    """
    _known(invariants)
    if list_:
        _print_invariants(invariants, format_)
        return
    if not files:
        raise click.UsageError("Missing argument 'FILES...'.")
    from rich.console import Console

    from grainspec.testing.run.junit import Refused, junit_xml

    options = {
        "examples": examples,
        "seed": seed,
        "case": case,
        "variant": variant,
        "invariants": invariants or None,
    }
    failed = False
    values: list[dict[str, Any]] = []
    suites: list[FileResult | Refused] = []
    console = Console(stderr=True, quiet=format_ == "json")
    for file in files:
        try:
            result = _tested(file, console, options)
        except GrainError as error:
            failed = True
            suites.append(Refused(str(file), str(error)))
            if format_ == "json":
                diagnostics = [finding.as_json() for finding in error.diagnostics]
                values.append({"path": str(file), "diagnostics": diagnostics})
            else:
                print_findings(error.diagnostics, source=error.source, path=error.path or str(file))
            continue
        failed = failed or bool(result.failures)
        suites.append(result)
        values.append(result.as_json())
        if format_ == "text":
            _print(result)
    if junit is not None:
        _write(junit, junit_xml(suites))
    if format_ == "json":
        print_json({"files": values})
    if failed:
        sys.exit(1)


def _known(invariants: tuple[str, ...]) -> None:
    """Raise a usage error for names that no invariant has."""
    from grainspec.testing import INVARIANTS, REGION_PROPERTIES

    known = [*dict.fromkeys([*INVARIANTS, *REGION_PROPERTIES])]
    for name in invariants:
        if name not in known:
            near = suggestion(name, known) if closest(name, known) else ""
            message = f"unknown invariant `{name}`. {near} There are: {', '.join(known)}."
            raise click.UsageError(" ".join(message.split()))


def _print_invariants(names: tuple[str, ...], format_: Format) -> None:
    from grainspec.testing.sentences import region_sentences, sentences

    shown = {
        title: {name: text for name, text in table.items() if name in names or not names}
        for title, table in (("plans", sentences()), ("regions", region_sentences()))
    }
    if format_ == "json":
        print_json(
            {
                "invariants": [
                    {"name": name, "of": title, "description": text}
                    for title, table in shown.items()
                    for name, text in table.items()
                ]
            }
        )
        return
    width = max(len(name) for table in shown.values() for name in table)
    for title, table in shown.items():
        if table:
            say(f"of {title}:")
        for name, text in table.items():
            say(f"  {name:{width}}  {text}")


def _tested(file: Path, console: Console, options: dict[str, Any]) -> FileResult:
    """Test a file, with a progress bar."""
    from rich.markup import escape
    from rich.progress import Progress

    from grainspec.testing.run import try_file

    with Progress(console=console, transient=True) as bars:
        bar = bars.add_task(escape(visible(file.name)), total=None)
        try:
            return try_file(
                file,
                progress=lambda done, total: bars.update(bar, completed=done, total=total),
                **options,
            )
        except ValueError as error:
            raise click.UsageError(f"{file}: {error}") from error


def _print(result: FileResult) -> None:
    cases = counted(result.cases, "case")
    verdict = counted(len(result.failures), "failure") if result.failures else "all hold"
    checks = (
        f"{len(result.invariants)} invariants of plans, {len(result.region_properties)} of regions"
    )
    say(f"{result.path}: {cases}, {checks}: {verdict}")
    for failure in result.failures:
        say("")
        say(indent(failure.explained(), "  "))


def _write(file: Path, text: str) -> None:
    try:
        with whole_file(file) as partial:
            partial.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        message = f"{file} cannot be written: {error.strerror}"
        raise fail("G310", message, "Check the path and the permissions.") from error
