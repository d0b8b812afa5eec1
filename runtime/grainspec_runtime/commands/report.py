"""``grain report``: write the HTML report of a run."""

from __future__ import annotations

from pathlib import Path

import click

from grainspec.cli.output import Format, format_option, print_json, say
from grainspec.whole_file import whole_file
from grainspec_runtime.commands.progress import progress_bars
from grainspec_runtime.commands.spec_file import written


@click.command
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File to write (default: report.html in the run's folder; variants.html for variants).",
)
@format_option
def report(run: Path, output: Path | None, format_: Format) -> None:
    """Write a run's report: one self-contained HTML page that works offline.

    RUN is a folder that `grain run` wrote. If it contains variants, all of them are on the page.
    `grain run` writes a report too; this command updates it, with the metrics that `grain measure`
    has added since. The page shows source and edit side by side, the regions, warnings, metrics,
    the plan and how it modulates attention, recorded attention (`grain run --study`), settings and
    versions.

    \b
    Examples:
      grain report runs/edit
      grain report runs/wolf -o wolf.html
    """
    from grainspec_runtime.report.contents import contents_of
    from grainspec_runtime.report.page import report_page
    from grainspec_runtime.runs.read import REPORT, runs_in

    folders = runs_in(run)
    output = output or run / (REPORT if folders == [run] else "variants.html")
    with progress_bars(format_) as progress:
        contents = []
        for index, folder in enumerate(folders):
            progress("read runs", index, len(folders))
            contents.append(contents_of(folder))
        progress("read runs", 1, 1)
    with written(output), whole_file(output) as partial:
        partial.write_text(report_page(contents), encoding="utf-8", errors="replace")
    if format_ == "json":
        print_json({"output": str(output), "runs": [str(folder) for folder in folders]})
    else:
        say(f"wrote {output}")
