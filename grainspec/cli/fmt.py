"""``grain fmt``: format specs in the canonical style."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from grainspec.cli.output import (
    Format,
    counted,
    format_option,
    print_findings,
    print_json,
    print_text,
    say,
)
from grainspec.diagnostics import Diagnostic, GrainError, fail, visible
from grainspec.loading import read_stdin, read_text
from grainspec.text.format import format_text
from grainspec.whole_file import whole_file

_STDIN = Path("-")


@click.command
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--check", is_flag=True, help="Change nothing; exit with 1 if a file is not formatted."
)
@click.option("--diff", is_flag=True, help="Change nothing; print the changes.")
@format_option
def fmt(paths: tuple[Path, ...], check: bool, diff: bool, format_: Format) -> None:
    """Format specs in the canonical style, in place.

    PATHS are files, folders (all .grain files in them), or `-`, which reads a spec from standard
    input and prints it formatted. Only white space changes, and comments are kept. A file with a
    syntax error is not changed, and the command then exits with 1.

    \b
    Examples:
      grain fmt edit.grain
      grain fmt --check examples
      grain fmt --diff edit.grain
      cat edit.grain | grain fmt -
    """
    changed: list[Path] = []
    broken: list[dict[str, object]] = []
    for path in _files(paths):
        try:
            text = read_stdin() if path == _STDIN else read_text(path)
            wanted = format_text(text, path=str(path))
        except GrainError as error:
            broken.append(_broken(path, error, format_))
            continue
        if wanted != text:
            changed.append(path)
        if diff:
            if format_ == "text":
                _print_diff(path, text, wanted)
        elif not check:
            if path == _STDIN:
                print_text(wanted)
            elif wanted != text:
                _write(path, wanted)
    if format_ == "json":
        print_json({"changed": [str(path) for path in changed], "files": broken})
    elif _STDIN not in paths:
        verb = "would be reformatted" if check or diff else "reformatted"
        for path in changed:
            say(f"{visible(str(path))}: {verb}", err=True)
        if not changed and not broken:
            say("all files are formatted already", err=True)
    if broken or (changed and (check or diff)):
        sys.exit(1)


def _files(paths: tuple[Path, ...]) -> Iterator[Path]:
    for path in paths:
        if path != _STDIN and path.is_dir():
            specs = sorted(path.rglob("*.grain"))
            if not specs:
                raise fail("G311", f"{path} contains no .grain files", "Check the path.")
            yield from specs
        else:
            yield path


def _broken(path: Path, error: GrainError, format: Format) -> dict[str, object]:
    findings: list[Diagnostic] = list(error.diagnostics)
    if format == "text":
        print_findings(findings, source=error.source, path=str(path))
        say(f"{visible(str(path))}: {counted(len(findings), 'error')}, not changed", err=True)
    return {"path": str(path), "diagnostics": [finding.as_json() for finding in findings]}


def _print_diff(path: Path, text: str, wanted: str) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    old, new = text.splitlines(), wanted.splitlines()
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in difflib.unified_diff(old, new, str(path), f"{path}, formatted", lineterm=""):
        console.print(Text(visible(line), style=colours.get(line[0], "")))


def _write(path: Path, text: str) -> None:
    """Replace the file's text, whole or not at all; its permissions stay."""
    place = path.resolve()
    try:
        with whole_file(place) as partial:
            partial.write_text(text, encoding="utf-8", newline="\n")
            partial.chmod(place.stat().st_mode)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise fail(
            "G310", message, "Check the permissions and the free space on the disk."
        ) from error
