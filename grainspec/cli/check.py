"""``grain check``: find the mistakes in a spec without loading a model."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from grainspec.cache_folder import fetched_files
from grainspec.checking import check_all
from grainspec.checks.meaning import check_meaning
from grainspec.cli.output import (
    Format,
    counted,
    format_option,
    print_findings,
    print_json,
    print_text,
    say,
)
from grainspec.cli.path_or_url import PathOrUrl
from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.diagnostics.fixing import fix_text
from grainspec.json_format import from_json
from grainspec.loading import plain_lines, read_text, stdin_as_written
from grainspec.remote.address import shown
from grainspec.text.parse import parse_all
from grainspec.waiting import Waiting
from grainspec.whole_file import whole_file

STDIN = Path("-")
SHOWN = 100
"""The number of findings that are printed for one file; JSON has all."""


@dataclass
class Result:
    """What was found in one file."""

    source: str | None
    findings: list[Diagnostic]
    notes: Sequence[str] = ()
    """What was not checked."""
    corrected: list[Diagnostic] = field(default_factory=list)
    """The mistakes that `--fix` corrected."""
    written: str = ""
    """The corrected text of standard input, with its own line ends and byte order mark."""

    @property
    def errors(self) -> int:
        """The number of errors."""
        return sum(finding.is_error for finding in self.findings)


@click.command
@click.argument("files", nargs=-1, required=True, type=PathOrUrl())
@click.option("--fix", is_flag=True, help="Correct the mistakes whose correction is certain.")
@click.option("--no-files", is_flag=True, help="Do not check the video, the masks and the model.")
@click.option("--no-regions", is_flag=True, help="Check files, but not the pixels of regions.")
@format_option
def check(
    files: tuple[Path | str, ...], fix: bool, no_files: bool, no_regions: bool, format_: Format
) -> None:
    """Find mistakes in specs, without loading a model.

    Checks syntax, names, words, values, the video, the masks and the model's files. It computes the
    regions, and reports those that are empty, overlap, or are too small for the model. Nothing is
    downloaded. Exits with 1 if there is an error, and with 0 if there are only warnings.

    FILES are .grain or .json files, URLs of such files, or `-` for standard input, whose paths
    start at the current folder. Of a URL, the files that the spec names are fetched as well. With
    --fix, .grain files are rewritten, and the corrected text of standard input is printed.

    \b
    Examples:
      grain check edit.grain
      grain check edit.grain --fix
      grain check examples/*.grain --format json
      grain check --no-regions edit.grain       faster: no region is computed
      grain check s3://studio/night/edit.grain
      cat edit.grain | grain check -
    """
    failed = False
    results = []
    for file in files:
        name = str(file)
        if isinstance(file, str):
            if fix:
                message = "`--fix` rewrites files of this machine; a spec behind a URL is checked."
                raise click.UsageError(message)
            result, name = _findings_behind(file, not no_files, not no_regions), shown(file)
        else:
            result = findings_in(file, fix=fix, files=not no_files, regions=not no_regions)
        failed = failed or result.errors > 0
        if format_ == "json":
            results.append(_as_json(name, result, fix=fix))
        else:
            _print(name, result, fix=fix)
    if format_ == "json":
        print_json({"files": results})
    if failed:
        sys.exit(1)


def findings_in(
    file: Path, *, fix: bool = False, files: bool = True, regions: bool = True
) -> Result:
    """Check one file, after correcting it if ``fix``."""
    try:
        source = stdin_as_written() if file == STDIN else read_text(file)
    except GrainError as error:
        return Result(None, list(error.diagnostics))
    corrected: list[Diagnostic] = []
    written, is_json = source, _is_json(file, source)
    if fix and not is_json:
        mark, text = _mark_and_text(source)
        fixed = fix_text(text, lambda text: parse_all(text).diagnostics)
        corrected, written = list(fixed.corrected), mark + fixed.text
        if fixed.text != text and file != STDIN:
            _write(file)
    result = _findings_of(file, plain_lines(written), files=files, regions=regions)
    result.corrected, result.written = corrected, written
    if fix and is_json:
        result.notes = [*result.notes, "not corrected: JSON is only checked"]
    return result


def _findings_behind(url: str, files: bool, regions: bool) -> Result:
    """Check a spec behind a URL, after fetching it and what it names."""
    from grainspec.remote.spec_files import fetched_spec

    try:
        copy = fetched_spec(url, fetched_files(), files=files)
    except GrainError as error:
        return Result(error.source, list(error.diagnostics))
    return findings_in(copy, files=files, regions=regions)


def _is_json(file: Path, source: str) -> bool:
    """Whether a text is read as JSON: by its name, or by its first sign on standard input."""
    if file == STDIN:
        return _mark_and_text(source)[1].lstrip().startswith("{")
    return file.suffix == ".json"


def _mark_and_text(text: str) -> tuple[str, str]:
    """The byte order mark of a text, if it has one, and the rest."""
    return "\ufeff" * text.startswith("\ufeff"), text.removeprefix("\ufeff")


def _findings_of(file: Path, source: str, *, files: bool = True, regions: bool = True) -> Result:
    """Check the text of a spec file without a model."""
    if _is_json(file, source):
        try:
            spec = from_json(source)
        except GrainError as error:
            return Result(source, list(error.diagnostics))
        findings = check_meaning(spec)
    else:
        parsed = parse_all(source)
        if parsed.spec is None:
            return Result(parsed.source, list(parsed.diagnostics))
        spec, findings, source = parsed.spec, list(parsed.diagnostics), parsed.source
    if not files:
        return Result(source, findings)
    base = Path() if file == STDIN else file.parent
    spec.in_folder(base, "" if file == STDIN else file.name)
    report = check_all(spec, base, regions=regions, progress=Waiting("reading frame"))
    return Result(source, [*findings, *report.findings], report.notes)


def _write(file: Path) -> None:
    """Correct a file, whole or not at all; its line ends, its byte order mark and mode stay."""
    place = file.resolve()
    try:
        with place.open(encoding="utf-8", newline="") as opened:
            text = opened.read()
        mark, text = _mark_and_text(text)
        fixed = fix_text(text, lambda text: parse_all(text).diagnostics)
        with whole_file(place) as partial:
            partial.write_text(mark + fixed.text, encoding="utf-8", newline="")
            partial.chmod(place.stat().st_mode)
    except OSError as error:
        message = f"{file} cannot be written: {error.strerror}"
        raise fail("G310", message, "Check the permissions and the disk's free space.") from error


def _as_json(file: str, result: Result, *, fix: bool) -> dict[str, Any]:
    value: dict[str, Any] = {
        "path": file,
        "diagnostics": [finding.as_json() for finding in result.findings],
        "notes": list(result.notes),
    }
    if fix:
        value["fixed"] = [finding.as_json() for finding in result.corrected]
    if fix and file == str(STDIN):
        value["text"] = result.written
    return value


def _print(file: str, result: Result, *, fix: bool) -> None:
    is_stdin = file == str(STDIN)
    name = "standard input" if is_stdin else file
    if fix and is_stdin and result.source is not None:
        print_text(result.written)
    for finding in result.corrected:
        place = f"{name}:{finding.span.line}" if finding.span else name
        say(f"{place}: corrected: {finding.message}", err=True)
    print_findings(result.findings[:SHOWN], source=result.source, path=name)
    more = len(result.findings) - SHOWN
    if more > 0:
        say(f"\n… and {counted(more, 'more finding')}", err=True)
    errors, warnings = result.errors, len(result.findings) - result.errors
    counts = [counted(errors, "error")] * (errors > 0)
    counts += [counted(warnings, "warning")] * (warnings > 0)
    counts += [f"{len(result.corrected)} corrected"] * bool(result.corrected)
    for note in result.notes:
        say(f"{name}: {note}", err=True)
    say(f"{name}: {', '.join(counts) or 'fine'}", err=errors > 0 or (fix and is_stdin))
