"""The entry point of ``grain``: the list of commands."""

from __future__ import annotations

import io
import sys
from functools import cache
from itertools import pairwise
from typing import NoReturn

import click

import grainspec
from grainspec.cli.check import check
from grainspec.cli.ending import (
    OK,
    flush_output,
    report_ending,
    signals_restored,
    unfinished_files_removed,
)
from grainspec.cli.explain import explain
from grainspec.cli.fmt import fmt
from grainspec.cli.new import new
from grainspec.cli.output import Format
from grainspec.cli.test import test
from grainspec.diagnostics import GrainError
from grainspec.language_server.command import language_server

_WRITE_NOTHING = frozenset({"check", "explain", "language-server"})


@cache
def _extensions() -> dict[str, str]:
    """Commands of other packages, such as the runtime, by name, as ``module:attribute``."""
    from importlib.metadata import entry_points

    return {entry.name: entry.value for entry in entry_points(group="grainspec.commands")}


class _Commands(click.Group):
    """The SDK's commands, and those of other packages, which are imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_extensions()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is None and cmd_name in _extensions():
            return _load(cmd_name, _extensions()[cmd_name])
        return own

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            cure = grainspec.diagnostics.suggestion(name, self.list_commands(ctx))
            ctx.fail(f"unknown command `{name}`. {cure}")
        if name not in _WRITE_NOTHING:
            unfinished_files_removed()
        return super().resolve_command(ctx, args)


def _load(name: str, place: str) -> click.Command:
    from importlib import import_module

    module, attribute = place.split(":")
    command = getattr(import_module(module), attribute)
    if not isinstance(command, click.Command):
        raise TypeError(f"{place}, the command `{name}`, is not a click command")
    return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
)
@click.version_option(grainspec.__version__, prog_name="grain")
def app() -> None:
    """Edit regions of a video with a diffusion model, as described in a .grain file.

    \b
    Examples:
      grain new clip.mp4         write a first spec for a clip
      grain check edit.grain     find mistakes, without loading a model
      grain track edit.grain     make the masks of regions from clicks and words
      grain show edit.grain      draw the regions on the frames
      grain plan edit.grain      show how attention would be modulated
      grain run edit.grain       edit the video

    \b
    Exit codes:
      0    done; there may have been warnings
      1    there are errors, which are printed with their codes
      2    the command line is wrong
      70   an internal error (G900), which is a bug in grainspec
      130  interrupted
    """


app.add_command(check)
app.add_command(explain)
app.add_command(fmt)
app.add_command(new)
app.add_command(language_server)
app.add_command(test)


def main() -> NoReturn:
    """Run the command line; never returns.

    Whatever is raised becomes a message and an exit code, and no traceback: see ``ending.py``.
    """
    with signals_restored():
        code = _run()
    sys.exit(code)


def _run() -> int:
    _replace_unencodable()
    try:
        code = app(prog_name="grain", standalone_mode=False)
        flush_output()
    except SystemExit as ended:
        code = ended.code
    except BaseException as error:
        code = report_ending(error, _format_asked())
    try:
        flush_output()
    except (BrokenPipeError, GrainError) as error:
        code = code or report_ending(error, "text")
    return code if isinstance(code, int) else OK


def _replace_unencodable() -> None:
    """Print `?` for characters that the terminal's encoding lacks, such as `→`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _format_asked() -> Format:
    """The value of ``--format`` on the command line, for errors that end a command."""
    words = sys.argv[1:]
    asked = "--format=json" in words or ("--format", "json") in pairwise(words)
    return "json" if asked else "text"
