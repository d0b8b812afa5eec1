"""The paper's tables from the results: as rows of text, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from grainspec.cli.output import counted
from grainspec_runtime.bench.bootstrap import Interval, difference, interval, is_measured
from grainspec_runtime.bench.methods import Method
from grainspec_runtime.bench.paper.maps import KINDS
from grainspec_runtime.bench.paper.methods import WITHOUT_POSES
from grainspec_runtime.bench.paper.run import Measured
from grainspec_runtime.bench.run import SITTING
from grainspec_runtime.bench.summary import (
    MEASURES,
    PAPER_MEASURES,
    Result,
    in_order,
    shown,
    shown_difference,
    values_of,
)
from grainspec_runtime.processes.departures import departures

_HEADINGS = {key: heading for key, heading, _ in (*MEASURES, *PAPER_MEASURES)}
_MEANINGS = {key: meaning for key, _, meaning in (*MEASURES, *PAPER_MEASURES)}
_PAPER = ("clip_f", "clip_t", "warp_flow", "q_edit", "warp_source")
_ABLATION = (*_PAPER, "local", "cross_instance", "right", "figures", "leaked")
_QUALITY = (*_ABLATION, "psnr", "ssim", "distance")
_COST = ("total", "gpu", "ram")


@dataclass(frozen=True)
class Cell:
    """A value as text, and its interval.

    form: writes the interval's bounds as the value is written; None for three digits.
    """

    text: str
    interval: Interval | None = None
    form: Callable[[float], str] | None = None

    @property
    def bounds(self) -> str:
        """The interval as text; empty if there is none."""
        it = self.interval
        if it is None or it.low is None or it.high is None:
            return ""
        form = self.form or "{:.3g}".format
        return f"{form(it.low)} to {form(it.high)}"


@dataclass(frozen=True)
class Table:
    """A table: its title, the headings with their meanings, and rows of a name and cells.

    counts: by the rows' names, how many cases a row is of, and how many there are; may be empty.
    """

    title: str
    about: str
    headings: list[tuple[str, str]]
    rows: list[tuple[str, str, list[Cell]]]
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)

    def count(self, name: str) -> str:
        """How many cases a row is of, as text: all of them, or a part."""
        made, total = self.counts[name]
        return str(made) if made == total else f"{made} of {total}"

    def text_rows(self) -> list[list[str]]:
        """Rows of text, the headings first."""
        lines = [[self.title, *["cases"][: len(self.counts)], *(it for it, _ in self.headings)]]
        for name, _, cells in self.rows:
            count = [self.count(name)] if self.counts else []
            lines.append([name, *count, *(cell.text for cell in cells)])
        return lines

    def as_json(self) -> dict[str, Any]:
        """The table with the intervals of its cells."""
        return {
            "title": self.title,
            "about": self.about,
            "columns": [heading for heading, _ in self.headings],
            "rows": [
                {
                    "name": name,
                    **dict(zip(("cases", "of"), self.counts.get(name, ()), strict=False)),
                    "cells": [cell.interval and cell.interval.as_json() for cell in cells],
                }
                for name, _, cells in self.rows
            ],
        }


@dataclass(frozen=True)
class Chapter:
    """All that the results of one model say."""

    model: str
    tables: list[Table]
    order: list[tuple[str, str]]
    against_ours: Table
    not_run: dict[str, str] = field(default_factory=dict)
    departures: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The chapter for a JSON file."""
        return {
            "model": self.model,
            "tables": [table.as_json() for table in (*self.tables, self.against_ours)],
            "order": dict(self.order),
            "not_run": self.not_run,
            "departures": {name: list(of_row) for name, of_row in self.departures.items()},
        }


def chapter(measured: Measured) -> Chapter:
    """Make the tables of a model."""
    part, results = measured.part, measured.results
    by_table = part.chosen.tables
    cases = f"{counted(part.count, 'case')} of the set `{part.job.cases}`"
    compared, first = by_table["comparison"], results[: part.job.apart]
    tables = [quality_table(compared, results, about=cases)]
    cost = "the first case, where no method shares another's inversion"
    cost += _other_sittings(compared, first)
    tables.append(cost_table(compared, first, about=cost))
    ablations = (
        ("temporal", "Temporal scope"),
        ("modulation", "Modulation"),
        ("settings", "Settings of the published code"),
    )
    for key, title in ablations:
        methods = by_table[key]  # type: ignore[index]  # a literal of the keys
        if methods:
            tables.append(_table(title, cases, methods, results, _ABLATION))
    if measured.maps:
        tables.append(_maps_table(measured.maps))
    unposed = [method for method in compared if method.name == WITHOUT_POSES[0].name]
    if unposed:
        others = [method for method in compared[1:] if method not in unposed]
        tables.append(against_first((*unposed, *others), results))
    if by_table["settings"]:
        tables.append(against_first(by_table["settings"], results))
    return Chapter(
        part.name,
        tables,
        orders(compared, results),
        against_first(compared, results),
        {**part.chosen.not_run, **grouped_reasons(results, "case")},
        {m.publication: departures(m.publication) for m in compared if m.publication},
    )


def orders(methods: Sequence[Method], results: Sequence[Result]) -> list[tuple[str, str]]:
    """State the order of methods by each measure, as :func:`in_order` does.

    Where some methods have a ControlNet's poses, those without are put in order apart: they are not
    told how the figures move.
    """
    posed = [method.name for method in methods if method.control is not None]
    unposed = [method.name for method in methods if method.control is None]
    if not posed:
        return in_order(results, unposed)
    apart = [(f"{heading}, without poses", order) for heading, order in in_order(results, unposed)]
    return [*in_order(results, posed), *apart]


def grouped_reasons(results: Sequence[Result], what: str) -> dict[str, str]:
    """Why methods have no values of some results, by the methods' names.

    Each reason has the number of results that it is for, and the name of the first.

    >>> results = [{"name": name, "not_run": {"DMT": "NaN"}} for name in "ab"]
    >>> grouped_reasons([*results, {"name": "c", "not_run": {}}], "edit")
    {'DMT': '2 of 3 edits: NaN (first a)'}
    """
    names: dict[str, dict[str, list[str]]] = {}
    for result in results:
        for method, reason in result.get("not_run", {}).items():
            names.setdefault(method, {}).setdefault(reason, []).append(result["name"])
    total = counted(len(results), what)
    return {
        method: "; ".join(
            f"{len(of_reason)} of {total}: {reason} (first {of_reason[0]})"
            for reason, of_reason in reasons.items()
        )
        for method, reasons in names.items()
    }


def quality_table(methods: Sequence[Method], results: Sequence[Result], *, about: str) -> Table:
    """The paper's first table, with MIVE's measures and what is known of the exact target."""
    return _table("Table 1: quality", about, methods, results, _QUALITY)


def cost_table(methods: Sequence[Method], results: Sequence[Result], *, about: str) -> Table:
    """The paper's second table."""
    return _table("Table 2: cost of an edit", about, methods, results, _COST)


def _other_sittings(methods: Sequence[Method], results: Sequence[Result]) -> str:
    """Say which costs were measured by another run of the command than that of the first method."""
    told = [
        {name: score.get(SITTING) for name, score in result["scores"].items()} for result in results
    ]
    first = methods[0].name
    others = [
        method.name
        for method in methods
        if any(of.get(method.name, of.get(first)) != of.get(first) for of in told)
    ]
    if not others:
        return ""
    return f"; measured in another run of the command than {first}: {', '.join(others)}"


def _table(
    title: str,
    about: str,
    methods: Sequence[Method],
    results: Sequence[Result],
    keys: Sequence[str],
) -> Table:
    kept = [k for k in keys if any(is_measured(values_of(results, m.name, k)) for m in methods)]
    rows = []
    for method in methods:
        found = [interval(values_of(results, method.name, key)) for key in kept]
        cells = [
            Cell(shown(key, it.mean if it else None), it, partial(shown, key))
            for key, it in zip(kept, found, strict=True)
        ]
        rows.append((method.name, method.about, cells))
    headings = [(_HEADINGS[key], _MEANINGS[key]) for key in kept]
    return Table(title, about, headings, rows, _counts(methods, results))


def _counts(methods: Sequence[Method], results: Sequence[Result]) -> dict[str, tuple[int, int]]:
    made = {m.name: sum(m.name in result["scores"] for result in results) for m in methods}
    return {name: (count, len(results)) for name, count in made.items()}


def against_first(methods: Sequence[Method], results: Sequence[Result]) -> Table:
    """The first method less each other one, case by case."""
    first = methods[0].name
    keys = [key for key in _QUALITY if is_measured(values_of(results, first, key))]
    rows = []
    for method in methods[1:]:
        cells = []
        for key in keys:
            pair = (values_of(results, name, key) for name in (first, method.name))
            gap = difference(*pair)
            sure = "*" if gap and gap.excludes_zero else ""
            form = partial(shown_difference, key)
            cells.append(Cell(form(gap.mean if gap else None) + sure, gap, form))
        rows.append((method.name, method.about, cells))
    about = f"{first} less the other, case by case; * where 95 % of draws agree in sign; "
    about += "pp: percentage points"
    return Table(f"{first} less", about, [(_HEADINGS[key], _MEANINGS[key]) for key in keys], rows)


def _maps_table(maps: Sequence[dict[str, Any]]) -> Table:
    about = f"attention to {counted(len(maps), 'phrase')} of edits, against their regions"
    headings = [
        ("IoU", "of the region and as many of the most attentive latent tokens"),
        ("inside, %", "share of the words' attention that comes from inside the region"),
    ]
    rows = []
    for kind in KINDS:
        iou = interval([entry[kind]["iou"] for entry in maps])
        shares = [entry[kind]["inside"] for entry in maps]
        inside = interval([None if share is None else share * 100 for share in shares])
        cells = [
            Cell(f"{iou.mean:.2f}" if iou else "–", iou),
            Cell(f"{inside.mean:.0f}" if inside else "–", inside),
        ]
        rows.append((kind, "", cells))
    return Table("Localise and edit", about, headings, rows)
