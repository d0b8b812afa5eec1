"""The gallery of a benchmark: its tables, and the clips of every case, its target and its edits."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from grainspec.model.spec import DEMO
from grainspec_runtime.bench.measure import is_right
from grainspec_runtime.bench.methods import Method
from grainspec_runtime.bench.run import file_name
from grainspec_runtime.bench.summary import MEASURES, Result, shown, summarize


def gallery(
    results: Sequence[Result],
    methods: Sequence[Method],
    *,
    split: str,
    steps: int,
    model: str = DEMO,
) -> str:
    """Render the gallery page, which loads only the clips in the folder ``clips/`` beside it."""
    summary = summarize(results, [method.name for method in methods])
    grains = list(summary[methods[0].name])
    tables = [
        (grain, [_row(method, summary[method.name][grain]) for method in methods])
        for grain in reversed(grains)
    ]
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("grainspec_runtime.bench").joinpath("page.html.jinja").read_text("utf-8")
    return environment.from_string(source).render(
        results=[{**result, "shown": _shown(result, methods)} for result in results],
        tables=tables,
        headings=[(heading, meaning) for _, heading, meaning in MEASURES],
        split=split,
        steps=steps,
        model=model,
    )


def _row(method: Method, means: Result) -> dict[str, Any]:
    return {
        "name": method.name,
        "about": method.about,
        "cases": means["cases"],
        "cells": [shown(key, means[key]) for key, _, _ in MEASURES],
    }


def _shown(result: Result, methods: Sequence[Method]) -> list[dict[str, Any]]:
    shown_scores = []
    for method in methods:
        score = result["scores"][method.name]
        leaked = score["leaked"]
        shown_scores.append(
            {
                "name": method.name,
                "file": file_name(method.name),
                "right": is_right(score["right"]),
                "share": shown("right", score["right"]),
                "leaked": None if leaked is None else shown("leaked", leaked),
            }
        )
    return shown_scores
