"""Where the order of methods is another than in the VideoGrain paper's tables.

The paper's values are means over other clips, at 512 x 512, with Stable Diffusion 1.5 (DMT: with
ZeroScope), and another CLIP: only the orders can be compared. For each column, every two rows of
the paper are compared over the cases that all of its rows have here.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from grainspec.cli.output import counted
from grainspec_runtime.bench.bootstrap import (
    LEAST_CASES,
    Interval,
    difference,
    is_measured,
    mean_of,
)
from grainspec_runtime.bench.paper.run import Measured
from grainspec_runtime.bench.summary import PAPER_MEASURES, Result, values_of

_HEADINGS = {key: heading for key, heading, _ in PAPER_MEASURES}
FATEZERO, CONTROLVIDEO, TOKENFLOW = "FateZero", "ControlVideo", "TokenFlow"
GROUND_A_VIDEO, DMT, VIDEOGRAIN = "Ground-A-Video", "DMT", "VideoGrain"
CROSS, NONE = f"{VIDEOGRAIN}, cross only", f"{VIDEOGRAIN}, no modulation"


@dataclass(frozen=True)
class Column:
    """A column of a table of the paper: the key of its measure, its values by row, their unit."""

    table: int
    key: str
    values: Mapping[str, float]
    unit: str = ""

    @property
    def lower_is_better(self) -> bool:
        """Whether the best value is the lowest."""
        return self.key not in ("clip_f", "clip_t", "q_edit")

    @property
    def heading(self) -> str:
        """The measure's heading."""
        return _HEADINGS[self.key]

    def ranked(self, values: Mapping[str, float]) -> list[str]:
        """The names of values, the best first."""
        return sorted(values, key=values.__getitem__, reverse=not self.lower_is_better)


_METHODS = (FATEZERO, CONTROLVIDEO, TOKENFLOW, GROUND_A_VIDEO, DMT, VIDEOGRAIN)
_ABLATION = (NONE, CROSS, VIDEOGRAIN)


def _column(table: int, key: str, *values: float, unit: str = "") -> Column:
    rows = _ABLATION if table == 3 else _METHODS
    return Column(table, key, dict(zip(rows, values, strict=True)), unit)


PUBLISHED_COLUMNS: tuple[Column, ...] = (
    _column(1, "clip_f", 95.75, 97.71, 96.48, 95.17, 96.34, 98.63),
    _column(1, "clip_t", 33.78, 34.41, 34.59, 35.09, 34.09, 36.56),
    _column(1, "warp_flow", 3.08, 4.73, 2.82, 4.43, 2.05, 1.42),
    _column(1, "q_edit", 10.96, 7.27, 12.28, 7.92, 16.63, 25.75),
    _column(2, "total", 8.68, 4.41, 4.56, 5.81, 5.79, 3.83, unit="minutes"),
    _column(2, "gpu", 27.35, 16.15, 17.84, 17.31, 27.88, 15.94, unit="GB"),
    _column(2, "ram", 144.22, 7.03, 5.35, 9.96, 8.12, 4.42, unit="GB"),
    _column(3, "clip_f", 95.21, 96.28, 98.63),
    _column(3, "clip_t", 33.59, 36.09, 36.56),
    _column(3, "warp_flow", 3.86, 2.53, 1.42),
    _column(3, "q_edit", 8.70, 14.26, 25.75),
)
"""VideoGrain (2502.17258), tables 1 to 3; table 2 is of one A6000."""


@dataclass(frozen=True)
class Against:
    """A column of the paper, and the means here by row, of those that were run.

    published, sentences: the paper's order, and what differs here, as text. cases: how many the
    means are over.
    """

    column: Column
    means: Mapping[str, float]
    cases: int
    published: str
    sentences: tuple[str, ...]

    @property
    def heading(self) -> str:
        """The table's number and the measure."""
        return f"table {self.column.table}: {self.column.heading}"

    def as_json(self) -> dict[str, Any]:
        """The values and the text for a JSON file."""
        return {
            "published": self.published,
            "here": list(self.sentences),
            "values": {
                name: {"paper": value, "here": self.means.get(name)}
                for name, value in self.column.values.items()
            },
            "cases": self.cases,
        }


def against_paper(measured: Sequence[Measured]) -> list[Against]:
    """Compare the order of rows in each column of the paper's tables with that in the paper."""
    results, cost = merged(measured), merged(measured, first=True)
    return [_against(it, cost if it.table == 2 else results) for it in PUBLISHED_COLUMNS]


def merged(measured: Sequence[Measured], *, first: bool = False) -> list[Result]:
    """The scores of all models by case: where several have one, those of the first model.

    Only models that edited the same set of cases as the first are taken, because only these can be
    compared. first: only the cases that were alone on the machine.
    """
    cases: dict[str, Result] = {}
    for one in measured:
        if one.part.job.cases != measured[0].part.job.cases:
            continue
        listed = one.results[: one.part.job.apart] if first else one.results
        for result in listed:
            scores = cases.setdefault(result["name"], {"name": result["name"], "scores": {}})
            scores["scores"] = {**result["scores"], **scores["scores"]}
    return list(cases.values())


def _against(column: Column, results: Sequence[Result]) -> Against:
    key, sign = column.key, -1 if column.lower_is_better else 1
    order = column.ranked(column.values)
    unit = f", in {column.unit} of an A6000" if column.unit else ""
    published = f"In the paper{unit}, the best first: {_chain(column.values, order)}."
    known = [name for name in order if is_measured(values_of(results, name, key))]
    cases = [
        result
        for result in results
        if known and all(is_measured(values_of([result], name, key)) for name in known)
    ]
    here = {name: values_of(cases, name, key) for name in known}
    means = {name: mean for name in known if (mean := mean_of(here[name])) is not None}
    found = partial(Against, column, means, len(cases), published)
    if len(known) < 2:
        return found(("Too few of its rows were run.",))
    chain = _chain(means, column.ranked(means))
    sentences = [f"Here, over {counted(len(cases), 'case')}: {chain}."]
    if len(cases) < LEAST_CASES:
        sentences.append("These are too few cases to be sure of any of it.")
        return found(tuple(sentences))
    reversed_, open_, agreed = [], [], 0
    pairs = list(itertools.combinations(known, 2))
    for better, worse in pairs:
        gap = difference(here[better], here[worse])
        if gap is None or not gap.excludes_zero:
            open_.append(f"{better} and {worse}")
        elif sign * gap.mean > 0:
            agreed += 1
        else:
            reversed_.append(f"{worse} is better than {better} by {_gap(gap, -sign)}")
    total = counted(len(pairs), "pair")
    sentences.append(f"Surely in the paper's order: {agreed} of {total}.")
    sentences += [f"Other than in the paper: {sentence}." for sentence in reversed_]
    if open_:
        sentences.append(f"Not told apart: {'; '.join(open_)}.")
    return found(tuple(sentences))


def _chain(values: Mapping[str, float], order: Sequence[str]) -> str:
    return ", ".join(f"{name} {values[name]:.2f}" for name in order)


def _gap(gap: Interval, sign: int) -> str:
    assert gap.low is not None
    assert gap.high is not None
    low, high = sorted((sign * gap.low, sign * gap.high))
    return f"{sign * gap.mean:.2f} (95 %: {low:.2f} to {high:.2f}, {gap.cases} cases)"
