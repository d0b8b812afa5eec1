"""The tables and the pictures of clips of the user, for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from grainspec.cli.output import counted
from grainspec.diagnostics import GrainError, fail
from grainspec_runtime.bench.methods import Method
from grainspec_runtime.bench.own.run import edit_folder
from grainspec_runtime.bench.paper.page import Picture
from grainspec_runtime.bench.paper.tables import (
    Chapter,
    Table,
    against_first,
    cost_table,
    grouped_reasons,
    quality_table,
)
from grainspec_runtime.bench.run import file_name
from grainspec_runtime.bench.summary import Result, in_order, shown

_CAPTION = (("warp_flow", "Warp-Err"), ("psnr", "PSNR"))
"""Measures below each edit on the page."""


def chapter(
    models: str, methods: Sequence[Method], results: Sequence[Result], measured: str
) -> Chapter:
    """The tables of the methods that made at least one edit; raises G584 if none did."""

    ran = [method for method in methods if any(method.name in it["scores"] for it in results)]
    not_run = grouped_reasons(results, "edit")
    if not ran:
        raise nothing_made([f"{name}: {why}" for name, why in not_run.items()])
    about = (
        f"{counted(len(results), 'edit')}; a method's means are over those that it made; {measured}"
    )
    tables: list[Table] = [
        quality_table(ran, results, about=about),
        cost_table(ran, results, about="every edit by itself"),
    ]
    order = in_order(results, [method.name for method in ran])
    return Chapter(models, tables, order, against_first(ran, results), not_run)


def nothing_made(reasons: Sequence[str]) -> GrainError:
    """The error (G584) that no edit was made, for these reasons."""
    cure = "Choose a model that they edit with `--model`, or other methods with `--method`."
    return fail("G584", f"no method made an edit: {'; '.join(reasons[:3])}", cure)


def cases(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Every edit that was made, with its pictures as the page shows them."""

    shown_cases = []
    for result in results:
        clips = f"clips/{quote(edit_folder(result['name']))}"
        pictures = [Picture(f"{clips}/source.webp", "source")]
        for name, values in result["scores"].items():
            known = [f"{title} {shown(key, values.get(key))}" for key, title in _CAPTION]
            caption = f"{name}: {', '.join(known)}"
            pictures.append(Picture(f"{clips}/{quote(file_name(name))}.webp", caption))
        if not result["scores"]:
            continue
        asked = [result["name"], *result["asked"]]
        shown_cases.append({"asked": asked, "target": result["target"], "pictures": pictures})
    return shown_cases
