"""``grain measure``: compute quality metrics of a run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from grainspec.cli.output import Format, format_option, print_findings, print_json, say
from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.model.demo_models import demo_model
from grainspec_runtime.commands.columns import aligned
from grainspec_runtime.commands.progress import progress_bars
from grainspec_runtime.device import known_device

if TYPE_CHECKING:
    from grainspec_runtime.flow.clip_flow import ClipFlow
    from grainspec_runtime.measures.clip_model import Clip
    from grainspec_runtime.measures.run_measures import Measure
    from grainspec_runtime.runs.read import Run

_NO_CLIP = "none"
Progress = Callable[[str, int, int], None]


@click.command
@click.argument(
    "runs", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RUN [RUN]..."
)
@click.option(
    "--clip",
    "clip_name",
    metavar="FOLDER|ID",
    help="CLIP model: a folder or a hub id (default: openai/clip-vit-large-patch14; for runs of "
    "the demo models, the CLIP of their world). `none` skips what needs CLIP.",
)
@click.option(
    "--flow",
    "method",
    type=click.Choice(["dis", "raft"]),
    default="dis",
    show_default=True,
    help="Optical flow method for the source's motion.",
)
@click.option(
    "--flow-weights",
    type=click.Path(path_type=Path),
    help="Safetensors file with RAFT's weights, or its folder (default: download torchvision's).",
)
@click.option("--device", help="cpu, cuda, cuda:1 or mps (default: the best available).")
@format_option
def measure(
    runs: tuple[Path, ...],
    clip_name: str | None,
    method: Any,
    flow_weights: Path | None,
    device: str | None,
    format_: Format,
) -> None:
    """Measure the quality of an edit.

    RUN is a folder that `grain run` wrote. If it contains variants, all of them are measured and
    shown side by side.

    \b
    CLIP-F      mean CLIP similarity of consecutive edited frames, × 100
    CLIP-T      mean CLIP similarity of the edited frames and the target prompt, × 100
    Warp-Err    mean squared error between each edited frame, warped along the source's optical
                flow, and the next frame, × 1000; occluded pixels are excluded, and the source's
                own error is shown for comparison
    Q-edit      CLIP-T / Warp-Err
    PSNR, SSIM  similarity of source and edit outside the edited regions
    Feature distance  the same by features of CLIP's vision transformer, in the form of LPIPS but
                not comparable with it
    Local CLIP-T      mean CLIP similarity of each edited instance's crop and its phrase, × 100
    Cross-instance accuracy  share of these crops that are nearest to their own phrase (MIVE)
    Time, memory      of the run itself, from its manifest; loading the model is not counted. A
                note says what variants of one command share

    The edit is read from the lossless edited.mkv. A metric that cannot be computed shows the
    reason; the others are still computed. All are saved as measures.json in the run's folder, which
    `grain report` shows. The exit code is 1 if a CLIP model or flow method that you chose yourself
    is not available.

    \b
    Examples:
      grain measure runs/edit
      grain measure runs/wolf --clip models/clip-vit-large-patch14
      grain measure runs/first runs/second --clip none --format json
    """
    from grainspec_runtime.runs.read import read_run, runs_in

    folders = [folder for path in runs for folder in runs_in(path)]
    place = known_device(device)
    warnings: list[Diagnostic] = []
    choice_failed = False

    def or_reason(load: Callable[[], Any], *, chosen: bool) -> Any:
        """Return what ``load`` returns, or the reason why it failed."""
        nonlocal choice_failed
        try:
            return load()
        except GrainError as error:
            warnings.extend(finding for finding in error.diagnostics if finding not in warnings)
            choice_failed = choice_failed or chosen
            return error.diagnostics[0].message

    measured: list[tuple[Run, dict[str, Measure]]] = []
    with progress_bars(format_) as progress:
        from grainspec_runtime.measures.run_measures import measure_run

        first = read_run(folders[0])  # before CLIP loads, so that a missing run fails fast
        clip = "skipped by `--clip none`"
        if clip_name != _NO_CLIP:
            name = clip_name or _default_clip(folders)
            clip = or_reason(lambda: _clip(name, place, progress), chosen=clip_name is not None)
        for index, folder in enumerate(folders):
            run = first if index == 0 else read_run(folder)
            flow = or_reason(
                functools.partial(_flow, run, method, flow_weights, place, progress),
                chosen=method != "dis" or flow_weights is not None,
            )
            measured.append((run, measure_run(run, clip=clip, flow=flow, progress=progress)))
    for run, measures in measured:
        _save(run, measures, warnings)
    used = None if isinstance(clip, str) else clip.name
    if format_ == "json":
        _print_json(measured, used, method, warnings)
    else:
        print_findings(warnings)
        say(_table(measured))
        say(f"CLIP: {used or 'none'}; flow: {method}")
    if choice_failed:
        raise SystemExit(1)


def _save(run: Run, measures: dict[str, Measure], warnings: list[Diagnostic]) -> None:
    """Write the metrics into the run's folder; adds a warning if the folder is not writable."""
    from grainspec_runtime.measures.run_measures import write_measures
    from grainspec_runtime.runs.read import MEASURES

    path = run.folder / MEASURES
    try:
        write_measures(path, measures)
    except OSError as error:
        message = f"cannot write {path}: {error.strerror or error}"
        cure = "The metrics are only printed here; `grain report` will not show them."
        warnings.append(Diagnostic("G310", message, cure))


def _default_clip(folders: Sequence[Path]) -> str:
    """The CLIP of the demo world, if all runs are of its models and it is installed."""
    from grainspec_runtime.measures.clip_model import DEFAULT
    from grainspec_runtime.models.locate import DEMO_CLIP
    from grainspec_runtime.runs.read import read_manifest, spec_of

    models = {spec_of(folder, read_manifest(folder))[0].model for folder in folders}
    of_the_demo = all(demo_model(model) for model in models)
    return str(DEMO_CLIP) if of_the_demo and DEMO_CLIP.is_dir() else DEFAULT


def _clip(name: str, device: str | None, progress: Progress) -> Clip:
    from transformers.utils import logging

    from grainspec_runtime.measures.clip_model import load_clip

    logging.disable_progress_bar()
    progress("load CLIP", 0, 1)
    clip = load_clip(name, device=device)
    progress("load CLIP", 1, 1)
    return clip


def _flow(
    run: Run, method: Any, weights: Path | None, device: str | None, progress: Progress
) -> ClipFlow:
    from grainspec_runtime.flow.estimate import estimate_flow

    return estimate_flow(
        run.source,
        method,
        weights=weights,
        device=device,
        progress=lambda done, total: progress("flow", done, total),
    )


def _print_json(
    measured: list[tuple[Run, dict[str, Measure]]],
    clip: str | None,
    flow: str,
    warnings: list[Diagnostic],
) -> None:
    runs = [
        {
            "run": str(run.folder),
            "variant": run.variant,
            "frames": len(run.source),
            "measures": {name: measure.as_json() for name, measure in measures.items()},
        }
        for run, measures in measured
    ]
    findings = [warning.as_json() for warning in warnings]
    print_json({"runs": runs, "clip": clip, "flow": flow, "diagnostics": findings})


def _table(measured: list[tuple[Run, dict[str, Measure]]]) -> str:
    """Format a table with a row per metric and a column per run, then reasons and notes."""
    heads = [run.variant or run.folder.resolve().name for run, _ in measured]
    rows = [["", *heads]]
    reasons: list[str] = []
    notes: list[str] = []
    for name, first in measured[0][1].items():
        row = [first.title]
        for _, measures in measured:
            cell = measures[name]
            if cell.value is None:
                row.append(f"– {_number(cell.reason, reasons)}")
            else:
                mark = f" *{_number(cell.note, notes)}" if cell.note else ""
                row.append(f"{cell.value:.3f}{mark}")
        rows.append(row)
    lines = aligned(rows)
    lines += [f"– {number}: {reason}" for number, reason in enumerate(reasons, start=1)]
    lines += [f"*{number}: {note}" for number, note in enumerate(notes, start=1)]
    return "\n".join(lines)


def _number(text: str, texts: list[str]) -> int:
    """The number of a text below the table, which is added to them if it is new."""
    if text not in texts:
        texts.append(text)
    return texts.index(text) + 1
