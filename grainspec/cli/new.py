"""``grain new``: write a first spec for a clip."""

from __future__ import annotations

from pathlib import Path

import click

from grainspec.cli.output import print_text, say
from grainspec.diagnostics import fail
from grainspec.shell import shell_path

_STDOUT = Path("-")
_SUFFIX = ".grain"


@click.command
@click.argument("clip", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "spec",
    type=click.Path(path_type=Path),
    help="The spec to write, or `-` to print it.  [default: CLIP.grain in the current folder]",
)
def new(clip: Path, spec: Path | None) -> None:
    """Write a first spec for a clip.

    CLIP is a video file, a folder of numbered images, or one image. The spec has the clip's facts,
    two tracked objects with an edit of each, and comments that explain them. It has no mistakes:
    change its words and points to those of your clip. No file is overwritten.

    \b
    Examples:
      grain new clip.mp4
      grain new frames -o edits/first.grain
      grain new clip.mp4 -o -
    """
    from grainspec.analysis.new_spec import clip_name, new_spec

    if spec == _STDOUT:
        print_text(new_spec(clip, Path("edit.grain")))
        return
    name = clip_name(clip)
    spec = spec or Path((name if clip.is_dir() else Path(name).stem) + _SUFFIX)
    if spec.suffix != _SUFFIX:
        raise click.BadParameter(f"the name of a spec ends in `{_SUFFIX}`", param_hint="--output")
    _require_new(spec)
    text = new_spec(clip, spec)
    try:
        with spec.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        _require_new(spec)
    except OSError as error:
        message = f"{spec} cannot be written: {error.strerror}"
        raise fail("G310", message, "Check that its folder exists and may be written.") from error
    say(f"{spec}: written. Next: grain check {shell_path(spec)}")


def _require_new(spec: Path) -> None:
    """Raise GrainError (G716) if something is there already, be it a broken link."""
    if spec.exists() or spec.is_symlink():
        cure = "Write to another file with `-o NAME.grain`, or delete this one."
        raise fail("G716", f"{spec} exists already", cure)
