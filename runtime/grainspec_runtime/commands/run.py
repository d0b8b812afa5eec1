"""``grain run``: edit a spec's video."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeRemaining

from grainspec.cli.output import Format, format_option, print_json
from grainspec_runtime.commands.spec_file import SpecFile
from grainspec_runtime.prepare import prepare

STAGES = ("load model", "read clip", "invert", "sample", "decode")


@click.command
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write.")
@click.option("--device", help="cpu, cuda, cuda:1, mps; the best there is by default.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16", "bfloat16"]),
    help="Precision of the networks; float32 on a CPU, float16 elsewhere by default.",
)
@click.option("--no-cache", is_flag=True, help="Neither look up nor keep the inversion.")
@format_option
def run(
    spec: Path,
    output: Path | None,
    device: str | None,
    dtype: str | None,
    no_cache: bool,
    format_: Format,
) -> None:
    """Edit a spec's video.

    Writes a folder, runs/SPEC unless -o names another: edited.mp4, side_by_side.mp4, overlay.png,
    overview.png, the spec, the plan, and run.json with all that is needed to repeat the run. An
    earlier run there is replaced once the new one is complete.

    \b
    Examples:
      grain run edit.grain
      grain run edit.grain -o out/spiderman --device cuda
    """
    file = SpecFile.read(spec)
    output = output or Path("runs") / spec.stem
    with file.explained():
        prepared = prepare(file.spec, file.base)
        file.report(prepared.warnings, format_)

        from grainspec_runtime.results import check_writable, manifest_of, save_run

        check_writable(output)

        import torch
        from transformers.utils import logging

        from grainspec_runtime.editor import Editor

        logging.disable_progress_bar()
        editor = Editor(
            file.spec.model,
            device=_known_device(device),
            dtype=getattr(torch, dtype) if dtype else None,
            use_cache=not no_cache,
        )
        with _progress(format_) as progress:
            result = editor.run_prepared(prepared, progress=progress)
        save_run(result, output, spec_text=file.text, spec_name=spec.name, arguments=sys.argv[1:])
    late = result.warnings[len(prepared.warnings) :]
    file.report(late, format_)
    if format_ == "json":
        print_json({"output": str(output), **manifest_of(result, sys.argv[1:])})
        return
    total = sum(result.seconds.values())
    cached = ", inversion from the cache" if result.inversion_cached else ""
    print(f"edited {len(result.edited)} frames in {total:.0f} s{cached}")
    print(f"wrote {output}: edited.mp4, side_by_side.mp4, overview.png, run.json and more")


def _known_device(name: str | None) -> str | None:
    if name is None:
        return None
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise click.BadParameter(f"{name}: {reason}", param_hint="--device") from error
    return name


@contextmanager
def _progress(format: Format) -> Iterator[Any]:
    """A bar per stage with the time left, on stderr."""
    console = Console(stderr=True, quiet=format == "json")
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        TextColumn("{task.completed:>3.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemaining(),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            elif done == total == 1:  # the end of a stage
                task = bars.tasks[tasks[stage]]
                bars.update(tasks[stage], completed=task.total)
            else:
                bars.update(tasks[stage], completed=done, total=total)

        yield update
