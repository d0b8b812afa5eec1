"""``grain studio``: edit specs on a local page."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import click

from grainspec.cli.output import say
from grainspec.diagnostics import fail

_SPEC = ".grain"


@click.command
@click.argument("start", required=False, type=click.Path(path_type=Path), metavar="[SPEC or CLIP]")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 takes any free one (default: the first free one from 7860).",
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option(
    "--allow",
    "also",
    metavar="FOLDER",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Also show clips and masks below this folder; may be repeated.",
)
def studio(start: Path | None, port: int | None, no_browser: bool, also: tuple[Path, ...]) -> None:
    """Write, track, run and compare edits on a page in your browser.

    With a clip, a first spec is written beside it, CLIP.grain, and opened; if the clip has one
    already, that is opened. With neither a spec nor a clip, a clip can be chosen on the page.

    The page is served on this machine only, at an address with a secret token. Files are shown and
    written only below the spec's folder. Runs are written to runs/SPEC in that folder, and the
    next ones to runs/SPEC-2, runs/SPEC-3 and so on: earlier runs stay, to compare with. When the
    studio stops, the job that runs is cancelled. The same job resumes after the frames that are
    tracked, a finished inversion or the sampling steps that are done; an inversion that was not
    finished starts again.

    On another machine, forward its port: `ssh -L 7860:localhost:7860 MACHINE`, and open the address
    that is printed.

    \b
    Examples:
      grain studio edit.grain
      grain studio clip.mp4
      grain studio edit.grain --port 9000 --no-browser
      grain studio edit.grain --allow /data/clips
    """
    try:
        import starlette
        import uvicorn
        import websockets
    except ImportError as error:
        message = f"the studio requires {error.name}, which is not installed"
        raise fail("G501", message, "Install it with `pip install 'grainspec[studio]'`.") from error
    del starlette, uvicorn, websockets

    from grainspec_runtime.studio.server import serve
    from grainspec_runtime.studio.studio import Studio

    folder, spec = _opened(start)
    with contextlib.suppress(KeyboardInterrupt):  # the usual way to stop it
        serve(Studio(folder, spec, also), port, browser=not no_browser, say=_say)


def _say(text: str) -> None:
    say(text)
    sys.stdout.flush()  # programs that start the studio wait for its address


def _opened(start: Path | None) -> tuple[Path, Path | None]:
    """The folder to serve and the spec to open; of a clip, its first spec, which may be written."""
    from grainspec.loading import read_text
    from grainspec_runtime.studio.starting import spec_beside

    if start is None:
        return Path(), None
    if start.suffix == _SPEC:
        read_text(start)
        return start.resolve().parent, start
    if start.suffix == ".json":
        message = f"{start} is not a .grain file"
        raise fail("G311", message, "The studio edits text: write the spec as a .grain file.")
    folder = start.resolve().parent
    return folder, spec_beside(start, folder)
