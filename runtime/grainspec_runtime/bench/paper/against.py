"""Where the order of methods is another than in the VideoGrain paper's tables.

The paper's values are means over other clips, at 512 x 512, with Stable Diffusion 1.5 (DMT: with
ZeroScope), and CLIPs that differ: only the orders can be compared. For each measure, every two
methods of the paper that have values in both are compared over the cases that both have here.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grainspec.cli.output import counted
from grainspec_runtime.bench.bootstrap import Interval, difference
from grainspec_runtime.bench.paper.run import Measured
from grainspec_runtime.bench.summary import PAPER_MEASURES, Result, mean, values_of

VIDEOGRAIN = "VideoGrain"
PUBLISHED_VALUES: Mapping[str, Mapping[str, float]] = {
    "clip_f": {"ControlVideo": 97.71, "TokenFlow": 96.48, "DMT": 96.34, VIDEOGRAIN: 98.63},
    "clip_t": {
        "FateZero": 33.78,
        "ControlVideo": 34.41,
        "TokenFlow": 34.59,
        "Ground-A-Video": 35.09,
        "DMT": 34.09,
        VIDEOGRAIN: 36.56,
    },
    "warp_flow": {
        "FateZero": 3.08,
        "ControlVideo": 4.73,
        "TokenFlow": 2.82,
        "Ground-A-Video": 4.43,
        "DMT": 2.05,
        VIDEOGRAIN: 1.42,
    },
    "q_edit": {
        "FateZero": 10.96,
        "ControlVideo": 7.27,
        "TokenFlow": 12.28,
        "Ground-A-Video": 7.92,
        "DMT": 16.63,
        VIDEOGRAIN: 25.75,
    },
    "total": {
        "FateZero": 8.68,
        "ControlVideo": 4.41,
        "TokenFlow": 4.56,
        "Ground-A-Video": 5.81,
        "DMT": 5.79,
        VIDEOGRAIN: 3.83,
    },
}
"""VideoGrain (2502.17258), tables 1 and 2; ``total`` in minutes. Two of its values of CLIP-F are
not legible in our source."""
_LOWER_IS_BETTER = frozenset({"warp_flow", "total"})
_ROWS = {VIDEOGRAIN: (f"{VIDEOGRAIN}, posed", VIDEOGRAIN)}
"""The rows here that stand for a row of the paper, the best first: VideoGrain has a ControlNet."""


@dataclass(frozen=True)
class Against:
    """A measure: its heading, the paper's order as text, and what differs here, in sentences."""

    heading: str
    published: str
    sentences: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The text for a JSON file."""
        return {"published": self.published, "here": list(self.sentences)}


def against_paper(measured: Sequence[Measured]) -> list[Against]:
    """Compare the order of methods by each of the paper's measures with that in the paper."""
    results = merged(measured)
    cost = merged(measured, first=True)
    headings = {key: heading for key, heading, _ in PAPER_MEASURES}
    return [
        _against(key, headings[key], values, cost if key == "total" else results)
        for key, values in PUBLISHED_VALUES.items()
    ]


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


def _against(
    key: str, heading: str, published: Mapping[str, float], results: Sequence[Result]
) -> Against:
    sign = -1 if key in _LOWER_IS_BETTER else 1
    order = sorted(published, key=lambda name: -sign * published[name])
    here = {name: _values(results, name, key) for name in order}
    known = [name for name in order if any(value is not None for value in here[name])]
    text = " > ".join(f"{name} ({published[name]:.2f})" for name in order)
    if len(known) < 2:
        return Against(heading, f"In the paper {text}.", ("Too few of its methods were run.",))
    ours = " > ".join(
        f"{name} ({_mean(here[name]):.2f})"
        for name in sorted(known, key=lambda name: -sign * _mean(here[name]))
    )
    reversed_, open_, agreed, sure = [], [], 0, False
    pairs = list(itertools.combinations(known, 2))
    for better, worse in pairs:
        gap = difference(here[better], here[worse])
        sure = sure or (gap is not None and gap.low is not None)
        if gap is None or not gap.excludes_zero:
            open_.append(f"{better} and {worse}")
        elif sign * gap.mean > 0:
            agreed += 1
        else:
            reversed_.append(f"{worse} is better than {better} by {_gap(gap, -sign)}")
    sentences = [f"Here {ours}."]
    if not sure:
        sentences.append("These are too few cases to be sure of any of it.")
        return Against(heading, f"In the paper {text}.", tuple(sentences))
    sentences.append(
        f"Surely in the paper's order: {agreed} of {counted(len(pairs), 'pair')} of methods."
    )
    sentences += [f"Other than in the paper: {sentence}." for sentence in reversed_]
    if open_:
        sentences.append(f"Not told apart: {'; '.join(open_)}.")
    return Against(heading, f"In the paper {text}.", tuple(sentences))


def _values(results: Sequence[Result], name: str, key: str) -> list[float | None]:
    """The values of the first row that stands for a row of the paper and was run."""
    for row in _ROWS.get(name, (name,)):
        values = values_of(results, row, key)
        if any(value is not None for value in values):
            return values
    return [None] * len(results)


def _mean(values: Sequence[float | None]) -> float:
    found = mean(value for value in values if value is not None)
    assert found is not None
    return found


def _gap(gap: Interval, sign: int) -> str:
    assert gap.low is not None
    assert gap.high is not None
    low, high = sorted((sign * gap.low, sign * gap.high))
    return f"{sign * gap.mean:.2f} (95 %: {low:.2f} to {high:.2f}, {gap.cases} cases)"
