"""``grain report``: a run on one page."""

from __future__ import annotations

from pathlib import Path

import click

from grainspec.cli.output import Format, format_option, print_json
from grainspec.whole_file import whole_file
from grainspec_runtime.commands.progress import progress_bars
from grainspec_runtime.commands.spec_file import written


@click.command
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File to write; by default report.html in the run's folder, variants.html for several.",
)
@format_option
def report(run: Path, output: Path | None, format_: Format) -> None:
    """Show a run on one page, which any browser opens and which can be sent as it is.

    RUN is a folder that `grain run` wrote; of one with variants all are shown, below each other.
    `grain run` writes the page as well; this writes it anew, with what `grain measure` has measured
    since. The page holds source and edit side by side, the regions, the plan, the pairs of tokens,
    measures, attention where it was recorded (`grain run --study`), settings, versions and doubts.

    \b
    Examples:
      grain report runs/edit
      grain report runs/wolf -o wolf.html
    """
    from grainspec_runtime.report.contents import contents_of
    from grainspec_runtime.report.page import REPORT, report_page
    from grainspec_runtime.runs.read import runs_in

    folders = runs_in(run)
    alone = folders == [run]
    output = output or run / (REPORT if alone else "variants.html")
    with progress_bars(format_) as tell:
        found = []
        for index, folder in enumerate(folders):
            tell("read runs", index, len(folders))
            found.append(contents_of(folder))
        tell("read runs", 1, 1)
    with written(output), whole_file(output) as partial:
        partial.write_text(report_page(found), encoding="utf-8", errors="replace")
    if format_ == "json":
        print_json({"output": str(output), "runs": [str(folder) for folder in folders]})
    else:
        print(f"wrote {output}")
