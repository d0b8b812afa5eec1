"""``grain test``: do a spec's plans keep what every plan must keep?"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from grainspec.cli.output import Format, counted, format_option, print_findings, print_json
from grainspec.diagnostics import GrainError, visible


@click.command
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--examples",
    type=click.IntRange(0, 10_000),
    default=20,
    show_default=True,
    help="Random changes to try, of each spec and each variant.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="What they are drawn from.")
@format_option
def test(files: tuple[Path, ...], examples: int, seed: int, format_: Format) -> None:
    """Test the plans of specs, and of random specs like them, against named invariants.

    Each spec and variant is compiled as it is, then with other settings, weights, frames and
    places of its regions. For each case it is checked that pairs are positive or negative as the
    regions say, that words act in their regions alone, that strengths follow the equations, that
    parts and what is kept stay apart, and that renaming, shifting and reversing change what they
    should and nothing else. No model is loaded. Exits with 1 if something does not hold.

    \b
    Examples:
      grain test edit.grain
      grain test examples/*.grain --examples 100 --seed 7
    """
    from rich.console import Console
    from rich.progress import Progress

    from grainspec.testing.invariants import INVARIANTS
    from grainspec.testing.run import try_file

    failed, found = False, []
    console = Console(stderr=True, quiet=format_ == "json")
    for file in files:
        try:
            with Progress(console=console, transient=True) as bars:
                bar = bars.add_task(visible(file.name), total=None)
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
                found.append({"path": str(file), "diagnostics": diagnostics})
            else:
                print_findings(error.diagnostics, source=error.source, path=error.path or str(file))
            continue
        failed = failed or bool(result.failures)
        found.append(result.as_json())
        if format_ == "text":
            cases = f"{counted(result.cases, 'case')}, {counted(len(INVARIANTS), 'invariant')}"
            verdict = counted(len(result.failures), "failure") if result.failures else "all hold"
            print(f"{visible(str(file))}: {cases}: {verdict}")
            for failure in result.failures:
                print(f"  {visible(str(failure))}")
            if result.failures:
                print(f"  Again: grain test {visible(str(file))} --seed {seed}")
    if format_ == "json":
        print_json({"files": found})
    if failed:
        sys.exit(1)
