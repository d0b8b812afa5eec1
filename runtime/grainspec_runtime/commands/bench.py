"""``grain bench``: run the edit benchmark of the demo world, whose exact targets are known."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from grainspec.cli.output import Format, counted, format_option, print_json, say
from grainspec.model.demo_models import DEMO, demo_model
from grainspec.whole_file import whole_file
from grainspec_runtime.commands.columns import aligned
from grainspec_runtime.commands.progress import progress_bars
from grainspec_runtime.device import known_device
from grainspec_runtime.runs.write import check_writable, claimed_runs

COUNT, QUICK_COUNT = 120, 24
STEPS, QUICK_STEPS = 20, 15
QUICK_METHODS = ("ours", "no modulation", "prompt only")
_PAPER_WORKERS = 8
"""With --paper, processes have at least two cores each: on two cores, cases run one by one."""
_WRITTEN = ("cases", "clips", "results.json", "index.html")


if TYPE_CHECKING:
    _Choice = click.Choice[str]
else:
    _Choice = click.Choice  # which is not generic before click 8.2


class _Cases(_Choice):
    """The set of cases; ``--cases 30`` is what ``--count 30`` was called."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if isinstance(value, str) and value.isdecimal():
            self.fail(f"{value} is a number of edits: write `--count {value}`", param, ctx)
        return super().convert(value, param, ctx)


@click.command
@click.option("--quick", is_flag=True, help="Run 24 cases with 15 steps and three methods.")
@click.option(
    "--paper",
    is_flag=True,
    help="Measure the tables of the VideoGrain paper: quality and cost of all methods, temporal "
    "scopes, modulation, and attention maps; with --quick, in about 20 minutes on two CPU cores.",
)
@click.option(
    "--clips",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Run the methods on clips of your own: specs in FOLDER, or the layout of VideoGrain, "
    "FiVE-Bench, MSVBench or DAVIS-Edit (`grain explain G580`). No clips are downloaded.",
)
@click.option(
    "--model",
    help="demo-image, demo-motion or demo-video, or the path of another model of the demo world "
    "(default: demo-image; with --paper, all three).",
)
@click.option(
    "--cases",
    type=_Cases(("frames", "clips")),
    help="frames: eight frames of figures that jog on the spot. clips: 17 frames in which figures "
    "walk, cross and hide each other (default: frames for demo-image, clips for others).",
)
@click.option(
    "--count",
    type=click.IntRange(1, 10_000),
    help=f"Number of edits (default: {COUNT}; with --quick, {QUICK_COUNT}; with --paper fewer for "
    "each model, which are printed first).",
)
@click.option(
    "--split",
    type=click.Choice(("held-out", "tuning")),
    default="held-out",
    show_default=True,
    help="Dataset split: tuning, which the settings were chosen on, or held-out.",
)
@click.option(
    "--method",
    "names",
    multiple=True,
    metavar="NAME",
    help="Run only this method; may be repeated. With --paper, ours runs as well.",
)
@click.option(
    "--steps",
    type=click.IntRange(1, 500),
    help=f"Number of inversion and sampling steps (default: {STEPS}; with --quick, fewer).",
)
@click.option(
    "-o",
    "--output",
    "out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("bench"),
    show_default=True,
    help="Folder for the results; finished cases in it are not run again.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    help="Number of parallel processes (default: one per CPU core; with --paper, one per two "
    f"cores, at most {_PAPER_WORKERS}).",
)
@click.option(
    "--device",
    help="cpu, cuda or mps (default: the best available). With a list such as cuda:0,cuda:1, "
    "cases are distributed over the devices.",
)
@click.option(
    "--clip",
    "clip_name",
    metavar="FOLDER|ID",
    help="CLIP model for CLIP-F, CLIP-T and the measures of instances (default: the CLIP of the "
    "demo world, if it is installed). `none` leaves them out.",
)
@format_option
def bench(
    quick: bool,
    paper: bool,
    folder: Path | None,
    model: str | None,
    cases: Any,
    count: int | None,
    split: Any,
    names: tuple[str, ...],
    steps: int | None,
    out: Path,
    workers: int | None,
    device: str | None,
    clip_name: str | None,
    format_: Format,
) -> None:
    """Run the edit benchmark: edits of generated clips, compared with their exact targets.

    The clips of the demo world are rendered, so the exact result of every edit is known. There are
    class edits (all figures of a kind), instance edits (single figures of two or three), part edits
    (a hat, sunglasses or a colour for one of two figures), place edits (background and ground), and
    several at once. Each edit also runs with ablations (without modulation, with only cross- or
    self-attention modulated, …) and with baseline methods, as far as the model can run them.

    Writes results.json, index.html with every clip, and one file per case. The same command resumes
    an interrupted benchmark.

    \b
    Examples:
      grain bench --quick
      grain bench --method ours --method "no modulation" --count 30
      grain bench --model demo-video --quick
      grain bench --cases clips --split tuning --count 12
      grain bench --device cuda:0 --workers 16 --output runs/bench
      grain bench --quick --format json
      grain bench --paper --output paper
      grain bench --paper --quick --model demo-video
      grain bench --paper --method VideoGrain --method FateZero
      grain bench --clips my-edits --method ours --method FateZero
    """
    from grainspec_runtime.bench.clip_methods import methods_for
    from grainspec_runtime.bench.page import gallery, write_gallery_stills
    from grainspec_runtime.bench.paper.tables import grouped_reasons
    from grainspec_runtime.bench.run import Job, check_first, run_bench
    from grainspec_runtime.bench.summary import MEASURES, PAPER_MEASURES, in_order, summarize

    if model and Path(model).exists():
        model = str(Path(model).resolve())
    if paper and folder:
        raise click.UsageError("--paper and --clips exclude each other")
    if folder:
        from grainspec_runtime.commands.bench_clips import refuse_without_effect, run_clips

        refuse_without_effect(click.get_current_context())
        run_clips(
            folder,
            out,
            model=model,
            names=names,
            count=count,
            steps=steps,
            device=_one_device(device),
            clip_name=clip_name,
            format_=format_,
        )
        return
    if paper:
        from grainspec_runtime.commands.bench_paper import QUICK, WHOLE, run_paper

        cores, devices = os.cpu_count() or 1, _devices(device)
        workers = workers or max(1, min(_PAPER_WORKERS, cores // 2))
        steps = steps or (QUICK if quick else WHOLE).steps
        threads = max(1, cores // workers)
        run_paper(
            Job(split, (), steps, out, devices, threads, clip=_clip_to_use(clip_name)),
            quick=quick,
            model=model,
            cases=cases,
            count=count,
            names=names,
            workers=workers,
            format_=format_,
        )
        return
    model = model or DEMO
    cases = cases or ("frames" if demo_model(model) == "demo-image" else "clips")
    known = {method.name: method for method in methods_for(model, cases)}
    chosen = names or (QUICK_METHODS if quick else tuple(known))
    for name in chosen:
        if name not in known:
            message = f"unknown method `{name}`; choose from {', '.join(known)}"
            raise click.BadParameter(message, param_hint="--method")
    devices = _devices(device)
    count = count or (QUICK_COUNT if quick else COUNT)
    cores = os.cpu_count() or 1
    workers = min(workers or cores, count)
    steps = steps or (QUICK_STEPS if quick else STEPS)
    check_writable(out, own=_WRITTEN)
    methods = tuple(known[name] for name in chosen)
    threads = max(1, cores // workers)
    clip = _clip_to_use(clip_name)
    job = Job(split, methods, steps, out, devices, threads, model, cases, clip)
    check_first(job)
    with claimed_runs([out]), progress_bars(format_) as progress:
        results = run_bench(
            count, job, workers=workers, progress=lambda done, total: progress("cases", done, total)
        )
    summary = summarize(results, chosen)
    about = {
        "model": model,
        "split": split,
        "set": cases,
        "steps": steps,
        "cases": count,
        "device": ", ".join(devices),
        "clip": clip or None,
        "measures": {key: meaning for key, _, meaning in (*MEASURES, *PAPER_MEASURES)},
        "methods": {method.name: method.about for method in methods},
        "summary": summary,
        "order": dict(in_order(results, chosen)),
        "results": results,
    }
    with whole_file(out / "results.json") as partial:
        partial.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    write_gallery_stills(out, results, methods)
    with whole_file(out / "index.html") as partial:
        page = gallery(results, methods, split=split, steps=steps, model=model)
        partial.write_text(page, encoding="utf-8")
    if format_ == "json":
        print_json(about)
        return
    say(tables(summary, chosen))
    for name, reason in grouped_reasons(results, "case").items():
        say(f"not run: {name}: {reason}\n")
    for heading, order in in_order(results, chosen):
        say(f"In order of “{heading}”:\n{order}\n")
    say(f"wrote {out}: open {out / 'index.html'} to see every clip")


def _one_device(device: str | None) -> str:
    """The device, of which there is one; raises UsageError for a list."""
    first, *others = _devices(device)
    if others:
        message = f"--clips runs on one device: write `--device {first}`"
        raise click.BadParameter(message, param_hint="--device")
    return first


def _devices(device: str | None) -> tuple[str, ...]:
    """The devices, each of which is known."""
    from grainspec_runtime.device import best_device

    devices = tuple(filter(None, (device or str(best_device())).split(",")))
    for name in devices:
        known_device(name)
    return devices


def _clip_to_use(name: str | None) -> str:
    """The CLIP that measures, as an absolute path where it is one; empty for none.

    Raises GrainError, as loading would, for a folder that is missing or not accepted.
    """
    from grainspec_runtime.measures.clip_model import check_clip
    from grainspec_runtime.models.locate import DEMO_CLIP

    if name is None:
        return str(DEMO_CLIP) if DEMO_CLIP.is_dir() else ""
    if name == "none":
        return ""
    check_clip(name)
    return str(Path(name).resolve()) if Path(name).exists() else name


def tables(summary: dict[str, dict[str, dict[str, Any]]], names: Sequence[str]) -> str:
    """Format one table per edit granularity, with one row per method, and the paper's measures."""
    from grainspec_runtime.bench.summary import ALL, MEASURES, PAPER_MEASURES, shown

    lines: list[str] = []
    for grain in summary[names[0]]:
        total = max(summary[name][grain]["cases"] for name in names)
        title = f"{grain} ({counted(total, 'case')})"
        rows = [[title, *(heading for _, heading, _ in MEASURES)]]
        for name in names:
            means = summary[name][grain]
            made = means["cases"]
            row = name if made == total else f"{name} ({made} of {total})"
            rows.append([row, *(shown(key, means[key]) for key, _, _ in MEASURES)])
        lines += [*aligned(rows), ""]
    measured = [
        it for it in PAPER_MEASURES if any(summary[n][ALL][it[0]] is not None for n in names)
    ]
    rows = [["as VideoGrain and MIVE measure", *(heading for _, heading, _ in measured)]]
    for name in names:
        means = summary[name][ALL]
        rows.append([name, *(shown(key, means[key]) for key, _, _ in measured)])
    return "\n".join([*lines, *aligned(rows), ""])
