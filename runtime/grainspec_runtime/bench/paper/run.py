"""Run what the paper's tables need: each model, every method, then the attention maps.

Each model's edits are a benchmark of their own, in a folder of its name, which resumes as
:func:`run_bench` does; so do the maps, case by case.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from grainspec.regular_file import read_json
from grainspec.whole_file import whole_file
from grainspec_runtime.bench.bootstrap import mean_of
from grainspec_runtime.bench.case import CaseSet
from grainspec_runtime.bench.clips import RenderedCase
from grainspec_runtime.bench.edit import Bench
from grainspec_runtime.bench.kinds import kind_of
from grainspec_runtime.bench.paper.choose import Chosen, choose
from grainspec_runtime.bench.paper.maps import localised
from grainspec_runtime.bench.run import Job, run_bench
from grainspec_runtime.bench.summary import Result
from grainspec_runtime.editing.editor import Editor

Progress = Callable[[str, int, int], None]
_PROBES = (2, 2, 4)
"""Steps of the edits that are timed; the first is not counted."""
_SECONDS_BETWEEN_COUNTS = 2.0


@dataclass(frozen=True)
class Part:
    """The edits of one model: its cases, its methods, and how many cases have maps."""

    job: Job
    count: int
    chosen: Chosen
    mapped: int

    def without(self, other: Part) -> Part:
        """The methods that another part does not have, and ours."""
        names = {method.name for method in other.chosen.methods}
        return self._with(self.chosen.without(names, other.name))

    def only(self, names: Set[str]) -> Part:
        """The methods of these names, and ours."""
        return self._with(self.chosen.only(names))

    def _with(self, chosen: Chosen) -> Part:
        return replace(self, job=replace(self.job, methods=chosen.methods), chosen=chosen)

    @property
    def name(self) -> str:
        """The model's name, or that of its folder."""
        return Path(self.job.model).name

    @property
    def edits(self) -> int:
        """The number of edits, with those for maps."""
        return self.count * len(self.chosen.methods) + self.mapped


@dataclass(frozen=True)
class Measured:
    """The results of a part, and the entries of its maps."""

    part: Part
    results: list[Result]
    maps: list[dict[str, Any]]


def make_part(model: str, base: Job, cases: CaseSet, count: int, mapped: int) -> Part:
    """Choose a model's methods; raises GrainError if it cannot be described or run ours."""
    job = replace(base, model=model, cases=cases, folder=base.folder / Path(model).name, apart=1)
    flow = kind_of(model) == "flow-matching video"
    chosen = choose(model, job.case(0), flow_matching=flow)
    return Part(replace(job, methods=chosen.methods), count, chosen, min(mapped, count))


def estimate(
    parts: Sequence[Part],
    workers: int,
    *,
    progress: Progress = lambda stage, done, total: None,
) -> float:
    """About how many seconds the missing edits will take.

    Those that are made say it. Of a model that has none, ours is made with a few steps, first to
    load and to compile, then in two lengths, from which the seconds of a step follow; methods that
    make more passes than ours take longer.
    """
    total = 0.0
    for part in parts:
        job = part.job
        saved = [job.saved(job.case(index))["scores"] for index in range(part.count)]
        missing = [len(job.methods) - len(scores) for scores in saved]
        if not any(missing):
            continue
        alone, together = sum(missing[: job.apart]), sum(missing[job.apart :])
        weighed = alone + together / workers
        spent_on = [score.get("total") for scores in saved for score in scores.values()]
        if known := mean_of(spent_on):
            total += known * weighed
            continue
        torch.set_num_threads(job.threads * workers)
        bench, rendered = Bench(job.devices[0], job.model), RenderedCase(job.case(0))
        spent = []
        for done, steps in enumerate(_PROBES):
            progress(f"{part.name} timed", done, len(_PROBES))
            start = time.perf_counter()
            probe = bench.edits(rendered, job.methods[:1], steps, failed=lambda method, error: None)
            list(probe)
            spent.append(time.perf_counter() - start)
        progress(f"{part.name} timed", len(_PROBES), len(_PROBES))
        _, short, long = spent
        step = max(0.0, long - short) / (_PROBES[2] - _PROBES[1])
        total += (short + step * max(0, job.steps - _PROBES[1])) * weighed
    return total


def run_parts(
    parts: Sequence[Part], *, workers: int, progress: Progress = lambda stage, done, total: None
) -> Iterator[Measured]:
    """Make all edits and maps that are missing; yields each part when it is finished."""
    for part in parts:
        job = part.job
        with _edits_counted(part, progress):
            # alone on the machine: what these edits cost is measured
            run_bench(job.apart, replace(job, threads=job.threads * workers), workers=1)
            results = run_bench(part.count, job, workers=workers)
        maps = []
        for index in range(part.mapped):
            progress(f"{part.name} maps", index, part.mapped)
            maps += _maps(part, index)
        if part.mapped:
            progress(f"{part.name} maps", part.mapped, part.mapped)
        yield Measured(part, results, maps)


@contextmanager
def _edits_counted(part: Part, progress: Progress) -> Iterator[None]:
    """Show the number of finished edits: a case has many, and other processes make them.

    They are counted by their saved scores, which are not made again after an interruption.
    """
    job, stopped = part.job, threading.Event()
    keys = [(case, job.keys(case)) for case in map(job.case, range(part.count))]
    total = sum(len(of_case) for _, of_case in keys)

    def show() -> None:
        done = sum(len(job.saved(case, of_case)["scores"]) for case, of_case in keys)
        progress(part.name, done, total)

    def watch() -> None:
        while not stopped.wait(_SECONDS_BETWEEN_COUNTS):
            show()

    show()
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stopped.set()
        watcher.join()
    show()


def _maps(part: Part, index: int) -> list[dict[str, Any]]:
    """The maps of a case: those that are saved, or new ones."""
    job = part.job
    case, method = job.case(index), part.chosen.methods[0]
    path = job.folder / "maps" / case.name / "maps.json"
    key = job.key(case, method)
    try:
        saved = read_json(path, bounded=True)
        if saved["key"] == key:
            return list(saved["entries"])
    except (OSError, ValueError, KeyError, TypeError):  # there is none, or it was cut short
        pass
    editor = Editor(job.model, device=job.devices[0], use_cache=False, study=True)
    entries = localised(editor, case, method, job.steps, path.parent)
    with whole_file(path) as partial:
        text = json.dumps({"key": key, "entries": entries}, indent=1)
        partial.write_text(text + "\n", encoding="utf-8")
    return entries
