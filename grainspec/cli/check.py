"""``grain check``: find the mistakes in a spec without loading a model."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from grainspec.checks.files import check_files
from grainspec.checks.meaning import check_meaning
from grainspec.checks.model import check_model
from grainspec.cli.output import Format, counted, format_option, print_findings, print_json, say
from grainspec.diagnostics import Diagnostic, GrainError, visible
from grainspec.json_format import from_json
from grainspec.loading import read_text
from grainspec.text.parse import parse_all


@click.command
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--no-files", is_flag=True, help="Do not check the video, the masks and the model.")
@format_option
def check(files: tuple[Path, ...], no_files: bool, format_: Format) -> None:
    """Find mistakes in specs, without loading a model.

    Checks syntax, names, words, values, the video, the masks and the model's files. Exits with 1 if
    there is an error, and with 0 if there are only warnings.

    \b
    Examples:
      grain check edit.grain
      grain check examples/*.grain --format json
    """
    failed = False
    results = []
    for file in files:
        source, findings = findings_in(file, look_at_files=not no_files)
        errors = sum(finding.is_error for finding in findings)
        failed = failed or errors > 0
        if format_ == "json":
            diagnostics = [finding.as_json() for finding in findings]
            results.append({"path": str(file), "diagnostics": diagnostics})
            continue
        print_findings(findings, source=source, path=str(file))
        warnings = len(findings) - errors
        counts = [counted(errors, "error")] * (errors > 0)
        counts += [counted(warnings, "warning")] * (warnings > 0)
        verdict = f"{visible(str(file))}: {', '.join(counts) or 'fine'}"
        say(verdict, err=errors > 0)
    if format_ == "json":
        print_json({"files": results})
    if failed:
        sys.exit(1)


def findings_in(file: Path, *, look_at_files: bool) -> tuple[str | None, list[Diagnostic]]:
    """Check a spec file without a model; return its text and all findings."""
    try:
        source = read_text(file)
    except GrainError as error:
        return None, list(error.diagnostics)
    if file.suffix == ".json":
        try:
            spec = from_json(source)
        except GrainError as error:
            return source, list(error.diagnostics)
        findings = check_meaning(spec)
    else:
        parsed = parse_all(source)
        if parsed.spec is None:
            return source, list(parsed.diagnostics)
        spec, findings = parsed.spec, list(parsed.diagnostics)
    if look_at_files:
        findings += check_files(spec, file.parent)
        findings += check_model(spec, file.parent)
    return source, findings
