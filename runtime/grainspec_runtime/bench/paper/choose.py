"""Which methods a model runs, in which tables, and why it does not run the others."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from grainspec.diagnostics import GrainError
from grainspec_runtime.bench.case import Case
from grainspec_runtime.bench.clips import RenderedCase
from grainspec_runtime.bench.kinds import Kind
from grainspec_runtime.bench.methods import Method, refusal_of
from grainspec_runtime.bench.paper.ablations import SETTINGS, TEMPORAL, modulation
from grainspec_runtime.bench.paper.methods import (
    IMAGE,
    OTHER_THRESHOLD,
    OWN_GUIDANCE,
    PUBLISHED,
    SMOOTHED,
    UNBLENDED,
    UNSMOOTHED,
    VIDEO,
    WITHOUT_POSES,
)
from grainspec_runtime.prepare import prepare

Table = Literal["comparison", "temporal", "modulation", "settings"]


@dataclass(frozen=True)
class Chosen:
    """The methods that a model runs, by table, and why it does not run the others."""

    tables: dict[Table, tuple[Method, ...]]
    not_run: dict[str, str]

    @property
    def methods(self) -> tuple[Method, ...]:
        """All methods, each once, ``ours`` first."""
        listed = [method for methods in self.tables.values() for method in methods]
        return tuple({method.name: method for method in listed}.values())

    def only(self, names: Set[str]) -> Chosen:
        """Keep the methods of these names, ours, and what a table compares its rows with."""
        compared = {method.name for method in self.tables["comparison"]}
        tables: dict[Table, tuple[Method, ...]] = {}
        for table, methods in self.tables.items():
            first, *others = methods or (None,)
            named = [method for method in others if method.name in names]
            own = table == "comparison" or any(method.name not in compared for method in named)
            tables[table] = (first, *named) if first and own else ()
        not_run = {name: reason for name, reason in self.not_run.items() if name in names}
        return Chosen(tables, not_run)

    def without(self, names: Set[str], other: str) -> Chosen:
        """Compare ours only with the methods that the model ``other`` has not run already.

        Ours without poses stays: DMT, which needs this, has none.
        """
        ours, *compared = self.tables["comparison"]
        unposed = WITHOUT_POSES[0].name
        kept = [method for method in compared if method.name not in names - {unposed}]
        repeated = {m.name: f"{other} runs it" for m in self.methods[1:] if m not in kept}
        tables: dict[Table, tuple[Method, ...]] = {
            "comparison": (ours, *kept),
            "temporal": (),
            "modulation": (),
            "settings": (),
        }
        return Chosen(tables, {**self.not_run, **repeated})


def choose(model: str, case: Case, *, flow_matching: bool) -> Chosen:
    """Choose the methods for a model, by preparing the case with each.

    Raises GrainError if not even ours can be prepared.
    """
    image = (*IMAGE, *SMOOTHED, *WITHOUT_POSES)
    own, others = (VIDEO, image[1:]) if flow_matching else (image, VIDEO[1:])
    ours = own[0]
    wanted: dict[Table, Sequence[Method]] = {
        "comparison": (
            *own,
            *PUBLISHED,
            *UNSMOOTHED,
            *UNBLENDED,
            *OWN_GUIDANCE,
            *OTHER_THRESHOLD,
        ),
        "temporal": () if flow_matching else TEMPORAL,
        "modulation": tuple(
            method
            for base in (ours, *(() if flow_matching else (IMAGE[1], WITHOUT_POSES[0])))
            for method in (base, *modulation(base, flow_matching=flow_matching))
        ),
        "settings": () if flow_matching else (IMAGE[1], *SETTINGS),
    }
    kind: Kind = "flow-matching video" if flow_matching else "image"
    not_run = {method.name: method.unsuited(kind) for method in others}
    if flow_matching:
        reason = "a video transformer attends to all frames: it has no scope to choose"
        not_run |= {method.name: reason for method in TEMPORAL}
        reason = "its settings are of attention within and between frames of image models"
        not_run |= {method.name: reason for method in SETTINGS}
    tables: dict[Table, tuple[Method, ...]] = {}
    with tempfile.TemporaryDirectory(prefix="grain-bench-") as place:
        RenderedCase(case).write(Path(place))
        for table, methods in wanted.items():
            able = []
            for method in methods:
                reason = method.missing or _refused(method, case, model, Path(place))
                if not reason:
                    able.append(method)
                elif method is ours:
                    prepare(method.spec(case, 2, model), Path(place))
                else:
                    not_run[method.name] = reason
            tables[table] = tuple(able)
    return Chosen(tables, not_run)


def _refused(method: Method, case: Case, model: str, place: Path) -> str:
    """Why a model cannot run a method; empty if it can."""
    try:
        prepare(method.spec(case, 2, model), place)
    except GrainError as error:
        return refusal_of(error)
    return ""
