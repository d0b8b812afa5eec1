"""The page of the paper's tables: all tables, what was not run, and all edits as they move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, StrictUndefined

from grainspec_runtime.bench.paper.against import Against, Column
from grainspec_runtime.bench.paper.maps import KINDS
from grainspec_runtime.bench.paper.run import Measured
from grainspec_runtime.bench.paper.tables import Chapter
from grainspec_runtime.bench.run import file_name


@dataclass(frozen=True)
class Picture:
    """A moving picture: its file beside the page, and its caption."""

    file: str
    caption: str


def page(
    measured: Sequence[Measured],
    chapters: Sequence[Chapter],
    against: Sequence[Against] = (),
    *,
    about: str,
) -> str:
    """Render the page, which loads only pictures in the folders beside it."""
    parts = [
        {"chapter": chapter, "cases": _cases(one), "maps": _maps(one)}
        for one, chapter in zip(measured, chapters, strict=True)
    ]
    return render(
        parts, title="The tables of VideoGrain on the demo world", about=about, against=against
    )


def render(
    parts: Sequence[dict[str, Any]],
    *,
    title: str,
    about: str,
    against: Sequence[Against] = (),
    warnings: Sequence[str] = (),
    left_out: Mapping[str, str] = MappingProxyType({}),
    width: int = 144,
) -> str:
    """Render chapters, each with its ``cases`` and ``maps``: lists of pictures with their words.

    against: where the order of methods is another than in the paper. left_out: why edits were left
    out, by their names. width: of a picture, in pixels.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("grainspec_runtime.bench.paper").joinpath("page.html.jinja").read_text("utf-8")
    return environment.from_string(source).render(
        parts=parts,
        title=title,
        about=about,
        against=against,
        paper_tables=_beside_the_paper(against),
        warnings=warnings,
        left_out=left_out,
        width=width,
    )


def _beside_the_paper(against: Sequence[Against]) -> list[dict[str, Any]]:
    """The paper's tables: for each row and column, value and rank in the paper and here."""
    tables = []
    for number in dict.fromkeys(one.column.table for one in against):
        columns = [one for one in against if one.column.table == number]
        rows = [
            (
                name,
                [
                    (_ranked(it.column, it.column.values, name), _ranked(it.column, it.means, name))
                    for it in columns
                ],
            )
            for name in columns[0].column.values
        ]
        headings = [(it.column.heading, it.column.unit, it.cases) for it in columns]
        tables.append({"number": number, "headings": headings, "rows": rows})
    return tables


def _ranked(column: Column, values: Mapping[str, float], name: str) -> str:
    if name not in values:
        return "–"
    return f"{values[name]:.2f} ({column.ranked(values).index(name) + 1})"


def _cases(measured: Measured) -> list[dict[str, Any]]:
    """Each case with the pictures of its source, its exact target, and all its edits."""
    cases = []
    for result in measured.results:
        folder = f"{measured.part.name}/clips/{result['name']}"
        pictures = [Picture(f"{folder}/source.webp", "source")]
        pictures.append(Picture(f"{folder}/target.webp", "exact target"))
        pictures += [
            Picture(f"{folder}/{file_name(method.name)}.webp", method.name)
            for method in measured.part.chosen.methods
            if method.name in result["scores"]
        ]
        cases.append({"asked": result["asked"], "target": result["target"], "pictures": pictures})
    return cases


def _maps(measured: Measured) -> list[dict[str, Any]]:
    """Each phrase with the pictures of its attention, without and with modulation."""
    shown = []
    for entry in measured.maps:
        folder = f"{measured.part.name}/maps/{entry['case']}"
        pictures = [
            Picture(f"{folder}/{entry[kind]['clip']}", f"{kind}: {_iou(entry[kind]['iou'])}")
            for kind in KINDS
        ]
        shown.append({"phrase": entry["phrase"], "pictures": pictures})
    return shown


def _iou(value: float | None) -> str:
    return "no region" if value is None else f"IoU {value:.2f}"
