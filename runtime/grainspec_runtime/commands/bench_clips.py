"""``grain bench --clips FOLDER``: the benchmark's methods on clips of the user."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from grainspec.cli.output import Format, counted, print_findings, print_json, say
from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.model.demo_models import demo_model
from grainspec.whole_file import whole_file
from grainspec_runtime.commands.columns import aligned
from grainspec_runtime.commands.progress import progress_bars
from grainspec_runtime.runs.write import check_writable, claimed_runs

if TYPE_CHECKING:
    from grainspec_runtime.bench.methods import Method
    from grainspec_runtime.bench.own.layouts import Found
    from grainspec_runtime.bench.paper.tables import Chapter, Table
    from grainspec_runtime.measures.clip_model import Clip

_NOT_WRITTEN = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
_WRITTEN = ("cases", "clips", "results.json", "index.html")


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
    from grainspec_runtime.bench.own.layouts import find_edits
    from grainspec_runtime.bench.own.methods import LAYOUTS, own_methods
    from grainspec_runtime.bench.own.run import OwnBench
    from grainspec_runtime.bench.paper.page import render

    found = find_edits(folder, LAYOUTS)
    methods, edits = own_methods(names), found.edits[:count]
    models = {model or edit.spec.model for edit in edits}
    check_writable(out, own=_WRITTEN)
    clip, findings = _clip(clip_name, models, device)
    findings = [*_left_out(found), *findings]
    if format_ != "json":
        many = f"{counted(len(edits), 'edit')} × {counted(len(methods), 'method')}"
        say(f"{found.layout}: {many}", err=True)
        print_findings(findings)
    bench = OwnBench(methods, out, device, clip, model or "", steps)
    with claimed_runs([out]), progress_bars(format_) as progress:
        results = list(bench.run(edits, lambda done, total: progress("edits", done, total)))
        one = _chapter(", ".join(sorted(models)), methods, results)
        about = {
            "folder": str(folder),
            "layout": found.layout,
            "clip": clip.name if clip else None,
            **one.as_json(),
            "results": results,
            "diagnostics": [finding.as_json() for finding in findings],
        }
        parts = [{"chapter": one, "cases": _cases(results), "maps": []}]
        page = render(parts, title=f"grain bench --clips {folder.name}", about=found.layout + ".")
        for name, text in (
            ("results.json", json.dumps(about, indent=1) + "\n"),
            ("index.html", page),
        ):
            with whole_file(out / name) as partial:
                partial.write_text(text, encoding="utf-8")
    if format_ == "json":
        print_json(about)
        return
    for table in (*one.tables, one.against_ours):
        say("\n".join([*aligned(table.text_rows()), f"({table.about})", ""]))
    for heading, order in one.order:
        say(f"In order of “{heading}”:\n{order}\n")
    for name, reason in one.not_run.items():
        say(f"not run: {name}: {reason}")
    say(f"wrote {out}: open {out / 'index.html'} to see every edit")


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


def _left_out(found: Found) -> list[Diagnostic]:
    """Warn (G581) about entries that cannot be used."""
    if not found.left_out:
        return []
    reasons = [f"{name}: {why}" for name, why in list(found.left_out.items())[:5]]
    count = counted(len(found.left_out), "edit")
    message = f"{count} left out: {'; '.join(reasons)}"
    return [Diagnostic("G581", message, "Complete their files to include them.")]


def _clip(name: str | None, models: set[str], device: str) -> tuple[Clip | None, list[Diagnostic]]:
    """Load the CLIP that was chosen, or the default; a default that is missing is a warning."""
    from grainspec_runtime.measures.clip_model import DEFAULT, load_clip
    from grainspec_runtime.models.locate import DEMO_CLIP

    if name == "none":
        return None, []
    of_the_demo = all(demo_model(model) for model in models) and DEMO_CLIP.is_dir()
    try:
        return load_clip(name or (str(DEMO_CLIP) if of_the_demo else DEFAULT), device=device), []
    except GrainError as error:
        if name is not None:
            raise
        return None, [
            Diagnostic("G582", f"measured without CLIP: {it.message}", it.cure)
            for it in error.diagnostics
        ]


def _chapter(models: str, methods: Sequence[Method], results: Sequence[dict[str, Any]]) -> Chapter:
    """The tables of the methods that made at least one edit; raises G584 if none did."""
    from grainspec_runtime.bench.paper.tables import (
        Chapter,
        against_first,
        cost_table,
        grouped_reasons,
        quality_table,
    )
    from grainspec_runtime.bench.summary import in_order

    ran = [method for method in methods if any(method.name in it["scores"] for it in results)]
    not_run = grouped_reasons(results, "edit")
    if not ran:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(not_run.items())[:3])
        cure = "Choose a model that they edit with `--model`, or other methods with `--method`."
        raise fail("G584", f"no method made an edit: {reasons}", cure)
    about = f"{counted(len(results), 'edit')}; a method's means are over those that it made"
    tables: list[Table] = [
        quality_table(ran, results, about=about),
        cost_table(ran, results, about="every edit by itself"),
    ]
    order = in_order(results, [method.name for method in ran])
    return Chapter(models, tables, order, against_first(ran, results), not_run)


def _cases(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    from grainspec_runtime.bench.paper.page import Picture
    from grainspec_runtime.bench.run import file_name

    cases = []
    for result in results:
        clips = f"clips/{file_name(result['name'])}"
        pictures = [Picture(f"{clips}/source.webp", "source")]
        pictures += [Picture(f"{clips}/{file_name(n)}.webp", n) for n in result["scores"]]
        asked = [result["name"], *result["asked"]]
        cases.append({"asked": asked, "target": result["target"], "pictures": pictures})
    return cases
