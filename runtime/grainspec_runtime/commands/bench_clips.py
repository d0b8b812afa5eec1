"""``grain bench --clips FOLDER``: the benchmark's methods on clips of the user."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from grainspec.cli.output import Format, counted, print_findings, print_json, say
from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.model.demo_models import demo_model
from grainspec.waiting import Waiting
from grainspec.whole_file import whole_file
from grainspec_runtime.commands.columns import aligned
from grainspec_runtime.runs.write import check_writable, claimed_runs

if TYPE_CHECKING:
    from grainspec_runtime.bench.paper.tables import Chapter
    from grainspec_runtime.measures.clip_model import Clip

_NOT_WRITTEN = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
_WRITTEN = ("cases", "clips", "results.json", "index.html")
_SHOWN = 5
_PICTURE = 256
"""The width of a clip on the page, in pixels."""


def run_clips(
    folder: Path,
    out: Path,
    *,
    model: str | None,
    names: Sequence[str],
    count: int | None,
    steps: int | None,
    device: str,
    clip_name: str | None,
    format_: Format,
) -> None:
    """Find the edits, make them with every method, and write and print the tables.

    Raises GrainError: G580 if there is no edit, G583 for an unknown method, and G584 if no method
    made an edit.
    """
    from transformers.utils import logging

    from grainspec_runtime.bench.own.check import check_edits, summed
    from grainspec_runtime.bench.own.fitted import fitted, unfollowed
    from grainspec_runtime.bench.own.layouts import find_edits
    from grainspec_runtime.bench.own.methods import LAYOUTS, own_methods
    from grainspec_runtime.bench.own.report import cases, chapter, nothing_made
    from grainspec_runtime.bench.own.run import OwnBench
    from grainspec_runtime.bench.paper.page import render
    from grainspec_runtime.commands.clip_progress import clip_progress

    logging.disable_progress_bar()
    found = find_edits(folder, LAYOUTS)
    methods = own_methods(names)
    edits, misfits = fitted(found.edits[:count], model or "")
    models = {model or edit.spec.model for edit in edits}
    check_writable(out, own=_WRITTEN)
    bench = OwnBench(methods, out, device, None, model or "", steps)
    checked = check_edits(bench, edits, Waiting("checking edit"))
    left_out = found.left_out | misfits | checked.left_out
    findings = [*_left_out(left_out), *unfollowed(checked.edits), *summed(checked.warnings)]
    if not checked.edits:
        raise nothing_made([f"{name}: {why}" for name, why in left_out.items()])
    bench.clip, doubts = _clip(clip_name, models, device)
    findings += doubts
    total = len(checked.edits) * len(methods)
    if format_ != "json":
        many = f"{counted(len(checked.edits), 'edit')} × {counted(len(methods), 'method')}"
        say(f"{found.layout}: {many}", err=True)
        print_findings(findings)
    with claimed_runs([out]):
        with clip_progress(total, out, format_) as watch:
            results = list(bench.run(checked.edits, watch))
        late = summed({it["name"]: [_finding(one) for one in it["warnings"]] for it in results})
        if format_ != "json":
            print_findings(late)
        for result in results:
            warnings = checked.warnings.get(result["name"], ())
            result["warnings"] = [*(it.as_json() for it in warnings), *result["warnings"]]
        measured = f"CLIP: {_clip_title(bench.clip)}"
        one = chapter(", ".join(sorted(models)), methods, results, measured)
        about = {
            "folder": str(folder),
            "layout": found.layout,
            "clip": bench.clip.name if bench.clip else None,
            **one.as_json(),
            "left_out": left_out,
            "results": results,
            "diagnostics": [finding.as_json() for finding in (*findings, *late)],
        }
        page = render(
            [{"chapter": one, "cases": cases(results), "maps": []}],
            title=f"grain bench --clips {folder.resolve().name}",
            about=f"Edits read as {found.layout.replace('`', '')}. {measured}.",
            warnings=[finding.without_place for finding in (*findings, *late)],
            left_out=left_out,
            width=_PICTURE,
        )
        _write(out, {"results.json": json.dumps(about, indent=1) + "\n", "index.html": page})
    if format_ == "json":
        print_json(about)
        return
    _print_tables(one)
    say(watch.summary())
    say(f"wrote {out}: open {out / 'index.html'} to see every edit")


def _write(folder: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        with whole_file(folder / name) as partial:
            partial.write_text(text, encoding="utf-8")


def _print_tables(one: Chapter) -> None:
    for table in (*one.tables, one.against_ours):
        if table.rows:
            say("\n".join([*aligned(table.text_rows()), f"({table.about})", ""]))
    for heading, order in one.order:
        say(f"In order of “{heading}”:\n{order}\n")
    for name, reason in one.not_run.items():
        say(f"not run: {name}: {reason}")


def refuse_without_effect(context: click.Context) -> None:
    """Refuse the options that have no effect with --clips; raises UsageError with their names."""
    written = [
        f"--{name}"
        for name in ("quick", "cases", "split", "workers")
        if context.get_parameter_source(name) not in _NOT_WRITTEN
    ]
    if written:
        names = " and ".join(filter(None, (", ".join(written[:-1]), written[-1])))
        have = "has" if len(written) == 1 else "have"
        raise click.UsageError(f"{names} {have} no effect with --clips: leave out {names}")


def _left_out(left_out: dict[str, str]) -> list[Diagnostic]:
    """Warn (G581) about entries that cannot be used."""
    if not left_out:
        return []
    reasons = [f"{name}: {why}" for name, why in list(left_out.items())[:_SHOWN]]
    message = f"{counted(len(left_out), 'edit')} left out: {'; '.join(reasons)}"
    if len(left_out) > _SHOWN:
        message += f"; and {len(left_out) - _SHOWN} more, which the page and results.json list"
    return [Diagnostic("G581", message, "Correct or complete their files to include them.")]


def _clip(name: str | None, models: set[str], device: str) -> tuple[Clip | None, list[Diagnostic]]:
    """Load the CLIP that was chosen, or the default, and warn of one that is doubtful or missing.

    That of the demo world (G585) knows no other clips.
    """
    from grainspec_runtime.measures.clip_model import DEFAULT, load_clip
    from grainspec_runtime.models.locate import DEMO_CLIP

    if name == "none":
        return None, []
    of_the_demo = all(demo_model(model) for model in models) and DEMO_CLIP.is_dir()
    chosen = name or (str(DEMO_CLIP) if of_the_demo else DEFAULT)
    try:
        clip = load_clip(chosen, device=device)
    except GrainError as error:
        if name is not None:
            raise
        return None, [
            Diagnostic("G582", f"measured without CLIP: {it.message}", it.cure)
            for it in error.diagnostics
        ]
    if not _of_the_demo(chosen):
        return clip, []
    message = (
        "the CLIP of the demo world measures CLIP-F, CLIP-T, Q-edit, CIA, local CLIP-T and the "
        "distance: it knows rendered figures alone, and on other clips its scores say nothing"
    )
    cure = f"Measure with one trained on photographs (`--clip {DEFAULT}`), or without (`none`)."
    return clip, [Diagnostic("G585", message, cure)]


def _clip_title(clip: Clip | None) -> str:
    """Which CLIP measures, in words."""
    if clip is None:
        return "none"
    return "that of the demo world (G585)" if _of_the_demo(clip.name) else clip.name


def _of_the_demo(clip: str) -> bool:
    from grainspec_runtime.models.locate import DEMO_CLIP

    return DEMO_CLIP.is_dir() and Path(clip).is_dir() and DEMO_CLIP.samefile(clip)


def _finding(saved: dict[str, Any]) -> Diagnostic:
    """A warning from its JSON values, without its place."""
    code, message, cure = (str(saved.get(key, "")) for key in ("code", "message", "cure"))
    return Diagnostic(code, message, cure)
