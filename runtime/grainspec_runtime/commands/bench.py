"""``grain bench``: does the method do what it claims? Edits of the demo world, exactly judged."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from grainspec.cli.output import Format, format_option, print_json
from grainspec.whole_file import whole_file
from grainspec_runtime.commands.columns import aligned
from grainspec_runtime.commands.progress import progress_bars
from grainspec_runtime.device import known_device
from grainspec_runtime.runs.write import check_writable

CASES, QUICK_CASES = 120, 24
STEPS, QUICK_STEPS = 20, 15
QUICK_METHODS = ("ours", "no modulation", "prompt only")
_WRITTEN = ("cases", "clips", "results.json", "index.html")


@click.command
@click.option("--quick", is_flag=True, help="24 cases, 15 steps and three methods.")
@click.option("--cases", type=click.IntRange(1, 10_000), help="How many edits (120).")
@click.option(
    "--split",
    type=click.Choice(("held-out", "tuning")),
    default="held-out",
    show_default=True,
    help="Which edits: those that settings were chosen on, or the others.",
)
@click.option(
    "--method", "names", multiple=True, metavar="NAME", help="Only this method; may be repeated."
)
@click.option("--steps", type=click.IntRange(1, 500), help="Steps of inversion and sampling (20).")
@click.option(
    "-o",
    "--output",
    "out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("bench"),
    show_default=True,
    help="Where results are kept; what is there already is not made again.",
)
@click.option("--workers", type=click.IntRange(1, 256), help="Cases at once; as many as cores.")
@click.option("--device", help="cpu, cuda, mps; several, such as cuda:0,cuda:1, take turns.")
@format_option
def bench(
    quick: bool,
    cases: int | None,
    split: Any,
    names: tuple[str, ...],
    steps: int | None,
    out: Path,
    workers: int | None,
    device: str | None,
    format_: Format,
) -> None:
    """Edit generated clips of the demo world and measure how right the edits are.

    Each clip is rendered, so the exact result of its edit is known: class edits (all figures of a
    kind), instance edits (one or both of two), parts (a hat, sunglasses, a colour on one of two),
    places, and several at once. The same edits are made without modulation, with parts of it, and
    by what else one would try.

    The folder gets results.json, index.html with every clip, and a file per case: a bench that was
    interrupted goes on where it was.

    \b
    Examples:
      grain bench --quick
      grain bench --method ours --method "no modulation" --cases 30
      grain bench --device cuda:0 --workers 16 --output runs/bench
      grain bench --quick --format json
    """
    from grainspec_runtime.bench.methods import METHODS
    from grainspec_runtime.bench.page import gallery
    from grainspec_runtime.bench.run import Job, run_bench
    from grainspec_runtime.bench.summary import MEASURES, summarize
    from grainspec_runtime.device import best_device

    known = {method.name: method for method in METHODS}
    chosen = names or (QUICK_METHODS if quick else tuple(known))
    for name in chosen:
        if name not in known:
            message = f"there is no method {name!r}; there are {', '.join(known)}"
            raise click.BadParameter(message, param_hint="--method")
    devices = tuple(filter(None, (device or str(best_device())).split(",")))
    for one in devices:
        known_device(one)
    count = cases or (QUICK_CASES if quick else CASES)
    cores = os.cpu_count() or 1
    workers = min(workers or cores, count)
    steps = steps or (QUICK_STEPS if quick else STEPS)
    check_writable(out, own=_WRITTEN)
    methods = tuple(known[name] for name in chosen)
    job = Job(split, methods, steps, out, devices, threads=max(1, cores // workers))
    with progress_bars(format_) as tell:
        results = run_bench(
            count, job, workers=workers, progress=lambda done, total: tell("cases", done, total)
        )
    summary = summarize(results, chosen)
    about = {
        "split": split,
        "steps": steps,
        "cases": count,
        "device": ", ".join(devices),
        "measures": {key: meaning for key, _, meaning in MEASURES},
        "methods": {method.name: method.about for method in methods},
        "summary": summary,
        "results": results,
    }
    with whole_file(out / "results.json") as partial:
        partial.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    with whole_file(out / "index.html") as partial:
        partial.write_text(gallery(results, methods, split=split, steps=steps), encoding="utf-8")
    if format_ == "json":
        print_json(about)
        return
    print(tables(summary, chosen))
    print(f"Written to {out}: look at {out / 'index.html'}")


def tables(summary: dict[str, dict[str, dict[str, Any]]], names: Sequence[str]) -> str:
    """A table per grain, a row per method."""
    from grainspec_runtime.bench.summary import MEASURES, shown

    lines: list[str] = []
    for grain, first in summary[names[0]].items():
        many = "s" if first["cases"] != 1 else ""
        rows = [
            [f"{grain} ({first['cases']} case{many})", *(heading for _, heading, _ in MEASURES)]
        ]
        for name in names:
            means = summary[name][grain]
            rows.append([name, *(shown(key, means[key]) for key, _, _ in MEASURES)])
        lines += [*aligned(rows), ""]
    return "\n".join(lines)
