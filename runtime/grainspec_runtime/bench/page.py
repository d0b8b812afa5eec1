"""The gallery of a benchmark: its tables, and the clips of every case, its target and its edits.

Cases are ordered by how right the first method is, worst first, and can be filtered in the page.
Every clip moves, and five of its frames stand still below.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from grainspec.model.spec import DEMO
from grainspec_runtime.bench.measure import is_right
from grainspec_runtime.bench.methods import Method
from grainspec_runtime.bench.run import file_name
from grainspec_runtime.bench.stills import stills_name, write_stills
from grainspec_runtime.bench.summary import ALL, MEASURES, PAPER_MEASURES, Result, shown, summarize


def gallery(
    results: Sequence[Result],
    methods: Sequence[Method],
    *,
    split: str,
    steps: int,
    model: str = DEMO,
) -> str:
    """Render the gallery page, which loads only what is in the folder ``clips/`` beside it.

    :func:`write_gallery_stills` writes the stills there.
    """
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
        results=[_case(result, methods) for result in _worst_first(results, methods[0])],
        tables=tables,
        grains=grains[:-1],
        first=methods[0].name,
        headings=[(heading, meaning) for _, heading, meaning in MEASURES],
        paper_headings=[(heading, meaning) for _, heading, meaning in PAPER_MEASURES],
        paper_rows=[_row(method, summary[method.name][ALL], PAPER_MEASURES) for method in methods],
        split=split,
        steps=steps,
        model=model,
        stills_name=stills_name,
    )


def write_gallery_stills(
    folder: Path, results: Sequence[Result], methods: Sequence[Method]
) -> None:
    """Write five frames of each clip of the gallery into ``folder/clips``, as one picture each."""
    names = ("source", "target", *(file_name(method.name) for method in methods))
    write_stills(
        folder / "clips" / result["name"] / f"{name}.webp" for result in results for name in names
    )


def _worst_first(results: Sequence[Result], method: Method) -> list[Result]:
    """Order cases by their share of right frames, then by what leaked."""

    def rank(result: Result) -> tuple[float, float]:
        score = result["scores"].get(method.name, {"right": 0.0, "leaked": None})
        return score["right"], -(score["leaked"] or 0.0)

    return sorted(results, key=rank)


def _case(result: Result, methods: Sequence[Method]) -> Result:
    """A case with its clips in the order in which they are shown."""
    shown_scores = _shown(result, methods)
    first = result["scores"].get(methods[0].name)
    return {
        **result,
        "right": first is not None and is_right(first["right"]),
        "clips": [
            {"file": "source", "name": "source"},
            {"file": "target", "name": "exact target"},
            *shown_scores,
        ],
    }


def _row(
    method: Method, means: Result, measures: Sequence[tuple[str, str, str]] = MEASURES
) -> dict[str, Any]:
    return {
        "name": method.name,
        "about": method.about,
        "cases": means["cases"],
        "cells": [shown(key, means[key]) for key, _, _ in measures],
    }


def _shown(result: Result, methods: Sequence[Method]) -> list[dict[str, Any]]:
    shown_scores = []
    for method in methods:
        score = result["scores"].get(method.name)
        if score is None:  # its edit failed
            continue
        leaked = score["leaked"]
        shown_scores.append(
            {
                "name": method.name,
                "file": file_name(method.name),
                "outcome": "right" if is_right(score["right"]) else "wrong",
                "right": is_right(score["right"]),
                "share": shown("right", score["right"]),
                "leaked": None if leaked is None else shown("leaked", leaked),
                "warp": None if score["warp"] is None else shown("warp", score["warp"]),
            }
        )
    return shown_scores
