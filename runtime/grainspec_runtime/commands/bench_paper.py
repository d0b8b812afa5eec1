"""``grain bench --paper``: the tables of the VideoGrain paper on the demo world."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from grainspec.cli.output import Format, counted, print_json, say
from grainspec.whole_file import whole_file
from grainspec_runtime.commands.columns import aligned
from grainspec_runtime.commands.progress import progress_bars
from grainspec_runtime.runs.write import check_writable, claimed_runs

if TYPE_CHECKING:
    from grainspec_runtime.bench.case import CaseSet
    from grainspec_runtime.bench.paper.against import Against
    from grainspec_runtime.bench.paper.run import Part
    from grainspec_runtime.bench.paper.tables import Chapter
    from grainspec_runtime.bench.run import Job


@dataclass(frozen=True)
class Scale:
    """How much is run: steps of an edit; per model, the set of cases, how many, how many mapped."""

    steps: int
    models: dict[str, tuple[CaseSet, int, int]]


WHOLE = Scale(
    20,
    {
        "demo-image": ("clips", 24, 4),
        "demo-motion": ("clips", 18, 0),
        "demo-video": ("clips", 18, 4),
    },
)
"""For one GPU within 30 minutes."""
QUICK = Scale(
    8,
    {
        "demo-image": ("frames", 2, 1),
        "demo-motion": ("frames", 1, 0),
        "demo-video": ("clips", 2, 1),
    },
)
"""For two CPU cores within 20 minutes. The UNets edit cases of eight frames. Two cases say little
about the order of methods: the tables then say so."""
REPEATS = {"demo-motion": "demo-image"}
"""A model that runs only what another one cannot: the same UNet, with a motion adapter."""


def run_paper(
    base: Job,
    *,
    quick: bool,
    model: str | None,
    cases: CaseSet | None,
    count: int | None,
    names: Sequence[str],
    workers: int,
    format_: Format,
) -> None:
    """Run, print and write everything; ``base`` has the split, devices, CLIP and folder.

    names: the methods that are run, with ours; all if there is none. Raises BadParameter for a
    method that no model runs.
    """
    from grainspec_runtime.bench.cost import device_name
    from grainspec_runtime.bench.paper.against import against_paper
    from grainspec_runtime.bench.paper.page import page
    from grainspec_runtime.bench.paper.run import estimate, run_parts
    from grainspec_runtime.bench.paper.tables import chapter

    if format_ != "json":
        say("finding out which methods each model runs", err=True)
    parts = _parts(base, QUICK if quick else WHOLE, model, cases, count, names)
    own = (*WHOLE.models, *(part.name for part in parts), "paper.json", "index.html")
    check_writable(base.folder, own=own)
    with progress_bars(format_) as progress:
        seconds = estimate(parts, workers, progress=progress)
    _say_plan(parts, seconds, format_)
    with claimed_runs([base.folder]), progress_bars(format_) as progress:
        measured = list(run_parts(parts, workers=workers, progress=progress))
        chapters = [chapter(one) for one in measured]
        against = against_paper(measured)
        cards = ", ".join(dict.fromkeys(map(device_name, base.devices)))
        about = {
            "split": base.split,
            "steps": base.steps,
            "device": cards,
            "clip": _clip_named(base.clip),
            "models": [one.as_json() for one in chapters],
            "against_the_paper": {one.heading: one.as_json() for one in against},
        }
        sentence = f"{base.steps} steps, split {base.split}, on {cards}."
        _write(base.folder / "paper.json", json.dumps(about, indent=1) + "\n")
        _write(base.folder / "index.html", page(measured, chapters, against, about=sentence))
    if format_ == "json":
        print_json(about)
        return
    say("\n".join([*_lines(chapters), *_paper_lines(against)]))
    say(f"wrote {base.folder}: open {base.folder / 'index.html'} to see every edit")


def _parts(
    base: Job,
    scale: Scale,
    model: str | None,
    cases: CaseSet | None,
    count: int | None,
    names: Sequence[str],
) -> list[Part]:
    """What each model runs; a model that has nothing to compare ours with is left out."""
    from grainspec_runtime.bench.paper.run import make_part

    models = {model: scale.models.get(model, scale.models["demo-video"])} if model else scale.models
    parts: dict[str, Part] = {}
    for name, (own, number, mapped) in models.items():
        part = make_part(name, base, cases or own, count or number, mapped)
        if (other := REPEATS.get(name)) in parts:
            part = part.without(parts[other])
        parts[name] = part
    if names:
        _refuse_unknown(names, list(parts.values()))
        parts = {name: part.only(set(names)) for name, part in parts.items()}
    compared = [part for part in parts.values() if len(part.chosen.methods) > 1]
    if names and not compared:
        message = "ours runs in any case: name a method to compare it with"
        raise click.BadParameter(message, param_hint="--method")
    return compared


def _refuse_unknown(names: Sequence[str], parts: Sequence[Part]) -> None:
    """Raise BadParameter for a method that none of the models runs, with the reason."""
    known = list(dict.fromkeys(m.name for part in parts for m in part.chosen.methods))
    for name in names:
        if name in known:
            continue
        reasons = [f"{it.name} does not run it: {it.chosen.not_run.get(name)}" for it in parts]
        if any(name in part.chosen.not_run for part in parts):
            message = f"no method `{name}` here: {'; '.join(reasons)}"
        else:
            message = f"unknown method `{name}`; choose from {', '.join(known)}"
        raise click.BadParameter(message, param_hint="--method")


def _say_plan(parts: Sequence[Part], seconds: float, format_: Format) -> None:
    """Say what will be run and about how long it takes, before it begins."""
    if format_ == "json":
        return
    for part in parts:
        methods, skipped = len(part.chosen.methods), len(part.chosen.not_run)
        many = f"{counted(part.count, 'case')} × {counted(methods, 'method')}"
        line = f"{part.name}: {many}, {part.mapped} with maps"
        say(f"{line}; {counted(skipped, 'method')} not run" if skipped else line, err=True)
    minutes = counted(round(seconds / 60), "minute")
    say(f"estimate: about {minutes} for what is missing; the run resumes", err=True)


def _clip_named(clip: str) -> str | None:
    """The CLIP's name; not the path of the demo world's, which differs between machines."""
    from grainspec_runtime.models.locate import DEMO_CLIP

    return "the demo world's" if clip == str(DEMO_CLIP) else clip or None


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _paper_lines(against: Sequence[Against]) -> list[str]:
    """Where the order of methods is another than in the paper, as text."""
    lines = ["== Against the paper's tables ==", ""]
    for one in against:
        lines += [f"“{one.heading}”: {one.published}", *one.sentences, ""]
    return lines


def _lines(chapters: Sequence[Chapter]) -> list[str]:
    """All tables as text."""
    lines: list[str] = []
    for one in chapters:
        lines += [f"== {one.model} ==", ""]
        for table in (*one.tables, one.against_ours):
            lines += [*aligned(table.text_rows()), f"({table.about})", ""]
        for heading, order in one.order:
            lines += [f"In order of “{heading}”:", order, ""]
        lines += [f"not run: {name}: {reason}" for name, reason in one.not_run.items()]
        if one.departures:
            differing = ", ".join(one.departures)
            lines += ["", f"Where these differ from their papers is on the page: {differing}"]
        lines.append("")
    return lines
