"""``grain test``: test the plans of specs against the invariants of every plan."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from grainspec.cli.output import Format, counted, format_option, print_findings, print_json, say
from grainspec.diagnostics import GrainError, visible


@click.command
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--examples",
    type=click.IntRange(0, 10_000),
    default=20,
    show_default=True,
    help="Number of random changes to test, per spec and per variant.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random changes.")
@format_option
def test(files: tuple[Path, ...], examples: int, seed: int, format_: Format) -> None:
    """Test the mask plans of specs against invariants.

    Each spec and variant is compiled as it is, and then with random changes: other settings,
    weights, frames and positions of its regions. The invariants: pairs are positive or negative
    according to the regions, words act only in their own regions, strengths follow the equations,
    parts and kept regions stay separate, and renaming, shifting and reversing change the plan only
    in the expected way. Loads no model. Exits with 1 if an invariant is violated.

    \b
    Examples:
      grain test edit.grain
      grain test examples/*.grain --examples 100 --seed 7
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    from grainspec.testing import INVARIANTS
    from grainspec.testing.run import try_file

    failed, results = False, []
    console = Console(stderr=True, quiet=format_ == "json")
    for file in files:
        try:
            with Progress(console=console, transient=True) as bars:
                bar = bars.add_task(escape(visible(file.name)), total=None)
                result = try_file(
                    file,
                    examples=examples,
                    seed=seed,
                    progress=lambda done, total: bars.update(bar, completed=done, total=total),  # noqa: B023
                )
        except GrainError as error:
            failed = True
            if format_ == "json":
                diagnostics = [finding.as_json() for finding in error.diagnostics]
                results.append({"path": str(file), "diagnostics": diagnostics})
            else:
                print_findings(error.diagnostics, source=error.source, path=error.path or str(file))
            continue
        failed = failed or bool(result.failures)
        results.append(result.as_json())
        if format_ == "text":
            cases = f"{counted(result.cases, 'case')}, {counted(len(INVARIANTS), 'invariant')}"
            verdict = counted(len(result.failures), "failure") if result.failures else "all hold"
            say(f"{visible(str(file))}: {cases}: {verdict}")
            for failure in result.failures:
                say(f"  {visible(str(failure))}")
            if result.failures:
                again = f"--examples {examples} --seed {seed}"
                say(f"  Reproduce with: grain test {visible(str(file))} {again}")
    if format_ == "json":
        print_json({"files": results})
    if failed:
        sys.exit(1)
