"""``grain measure``: how good an edit is, in numbers."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from grainspec.cli.output import Format, format_option, print_json, report
from grainspec.diagnostics import Diagnostic, GrainError
from grainspec_runtime.commands.columns import aligned
from grainspec_runtime.commands.progress import progress_bars
from grainspec_runtime.device import known_device

if TYPE_CHECKING:
    from grainspec_runtime.flow.clip_flow import ClipFlow
    from grainspec_runtime.measures.clip_model import Clip
    from grainspec_runtime.measures.run_measures import Measure
    from grainspec_runtime.runs.read import Run

_NO_CLIP = "none"
Tell = Callable[[str, int, int], None]


@click.command
@click.argument(
    "runs", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RUN [RUN]..."
)
@click.option(
    "--clip",
    "clip_name",
    metavar="FOLDER|ID",
    help="CLIP to measure likeness with; openai/clip-vit-large-patch14 by default, none for none.",
)
@click.option(
    "--flow",
    "method",
    type=click.Choice(["dis", "raft"]),
    default="dis",
    show_default=True,
    help="How the source's motion is found.",
)
@click.option(
    "--flow-weights",
    type=click.Path(path_type=Path),
    help="Safetensors file of RAFT's weights, or its folder; torchvision's are fetched otherwise.",
)
@click.option("--device", help="cpu, cuda, cuda:1, mps; the best there is by default.")
@format_option
def measure(
    runs: tuple[Path, ...],
    clip_name: str | None,
    method: Any,
    flow_weights: Path | None,
    device: str | None,
    format_: Format,
) -> None:
    """Measure how good an edit is.

    RUN is a folder that `grain run` wrote; of one with variants all are measured, next to each
    other.

    \b
    CLIP-F    mean likeness of consecutive edited frames, by CLIP, × 100
    CLIP-T    mean likeness of the target prompt and the edited frames, by CLIP, × 100
    Warp-Err  mean squared error of each edited frame, carried along the source's motion, to the
              next, × 1000, where the motion can be followed; the source's own beside it
    Q-edit    CLIP-T / Warp-Err
    PSNR and SSIM compare source and edit where nothing was to be edited

    The edit is read from edited.mkv, which has lost nothing. What cannot be measured says why, and
    the rest is measured all the same; all of it is kept in the run's folder as measures.json, which
    `grain report` shows. The exit code is 1 only where a CLIP or a flow that was asked
    for by name is not to be had.

    \b
    Examples:
      grain measure runs/edit
      grain measure runs/wolf --clip models/clip-vit-large-patch14
      grain measure runs/one runs/other --clip none --format json
    """
    from grainspec_runtime.runs.read import read_run, runs_in

    folders = [run for given in runs for run in runs_in(given)]
    place = known_device(device)
    lacking: list[Diagnostic] = []
    asked = False

    def or_reason(make: Callable[[], Any], *, by_name: bool) -> Any:
        """What ``make`` makes, or the reason why it cannot."""
        nonlocal asked
        try:
            return make()
        except GrainError as error:
            lacking.extend(found for found in error.diagnostics if found not in lacking)
            asked = asked or by_name
            return error.diagnostics[0].message

    measured: list[tuple[Run, dict[str, Measure]]] = []
    with progress_bars(format_) as tell:
        from grainspec_runtime.measures.run_measures import measure_run

        first = read_run(folders[0])  # before CLIP is loaded, for there may be no such run
        clip = "it was left out"
        if clip_name != _NO_CLIP:
            clip = or_reason(lambda: _clip(clip_name, place, tell), by_name=clip_name is not None)
        for index, folder in enumerate(folders):
            run = first if index == 0 else read_run(folder)
            flow = or_reason(
                functools.partial(_flow, run, method, flow_weights, place, tell),
                by_name=method != "dis" or flow_weights is not None,
            )
            measured.append((run, measure_run(run, clip=clip, flow=flow, progress=tell)))
    for run, measures in measured:
        _keep(run, measures, lacking)
    used = None if isinstance(clip, str) else clip.name
    if format_ == "json":
        _print_json(measured, used, method, lacking)
    else:
        report(lacking)
        print(_table(measured))
        print(f"CLIP: {used or 'none'}; flow: {method}")
    if asked:
        raise SystemExit(1)


def _keep(run: Run, measures: dict[str, Measure], lacking: list[Diagnostic]) -> None:
    """Write the measures into the run's folder; one for reading only is left as it is."""
    from grainspec.whole_file import whole_file
    from grainspec_runtime.runs.read import MEASURES

    path = run.folder / MEASURES
    found = [{"name": name, "title": m.title, **m.as_json()} for name, m in measures.items()]
    try:
        with whole_file(path) as partial:
            text = json.dumps({"measures": found}, indent=2, ensure_ascii=False)
            partial.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror or error}"
        lacking.append(Diagnostic("G310", message, "The measures are shown here alone."))


def _clip(name: str | None, device: str | None, tell: Tell) -> Clip:
    from transformers.utils import logging

    from grainspec_runtime.measures.clip_model import DEFAULT, load_clip

    logging.disable_progress_bar()
    tell("load CLIP", 0, 1)
    found = load_clip(name or DEFAULT, device=device)
    tell("load CLIP", 1, 1)
    return found


def _flow(run: Run, method: Any, weights: Path | None, device: str | None, tell: Tell) -> ClipFlow:
    from grainspec_runtime.flow.estimate import estimate_flow

    return estimate_flow(
        run.source,
        method,
        weights=weights,
        device=device,
        progress=lambda done, total: tell("flow", done, total),
    )


def _print_json(
    measured: list[tuple[Run, dict[str, Measure]]],
    clip: str | None,
    flow: str,
    lacking: list[Diagnostic],
) -> None:
    found = [
        {
            "run": str(run.folder),
            "variant": run.variant,
            "frames": len(run.source),
            "measures": {name: one.as_json() for name, one in measures.items()},
        }
        for run, measures in measured
    ]
    findings = [finding.as_json() for finding in lacking]
    print_json({"runs": found, "clip": clip, "flow": flow, "diagnostics": findings})


def _table(measured: list[tuple[Run, dict[str, Measure]]]) -> str:
    """A row for every measure, a column for every run, and below it why some are missing."""
    heads = [run.variant or run.folder.resolve().name for run, _ in measured]
    rows = [["", *heads]]
    reasons: list[str] = []
    for name, first in measured[0][1].items():
        row = [first.title]
        for _, measures in measured:
            one = measures[name]
            if one.value is None and one.reason not in reasons:
                reasons.append(one.reason)
            mark = "" if one.value is not None else f"– {reasons.index(one.reason) + 1}"
            row.append(mark or f"{one.value:.3f}")
        rows.append(row)
    lines = aligned(rows)
    lines += [f"– {number}: {reason}" for number, reason in enumerate(reasons, start=1)]
    return "\n".join(lines)
