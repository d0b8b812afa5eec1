"""Try mutants: several at once, each in a copy of the tree; results are kept as they come."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from mutant import Mutant
from tree import NO_ANSWER, Limits, Tree, copied, failed_tests

Result = dict[str, Any]
"""A mutant as JSON values with ``public`` and ``tests``: what came of both, and seconds."""


@contextmanager
def trees(root: Path, count: int, compiled: str = "grainspec") -> Iterator[list[Tree]]:
    """Copies of a tree, in folders that are removed in the end."""
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        places = [Path(folder) / str(number) for number in range(count)]
        for place in places:
            if place == places[0]:
                copied(root, place, compiled)
            else:
                shutil.copytree(places[0], place, symlinks=True)
        yield [Tree(place) for place in places]


@dataclass(frozen=True)
class Unmutated:
    """What the tree does without a mutant: seconds, and the tests that fail anyway."""

    public: float
    tests: float | None
    failing: tuple[str, ...] = ()

    @property
    def limits(self) -> Limits:
        """Ten times the usual time for the public checks, five times for the tests."""
        return Limits(max(60.0, 10 * self.public), max(60.0, 5 * (self.tests or 0.0)))

    def as_json(self) -> dict[str, Any]:
        """The value as JSON values."""
        return {"public": self.public, "tests": self.tests, "failing": list(self.failing)}


def unmutated(copies: Sequence[Tree], files: Sequence[str]) -> Unmutated:
    """Run everything without a mutant; raise SystemExit if the public checks find fault.

    The files are shared out among the copies; their seconds are added. Without files, no tests run.
    """
    public = copies[0].try_public("", None)
    if public["outcome"] != "survived":
        raise SystemExit(f"the public checks fail without any mutant: {json.dumps(public)}")
    if not files:
        return Unmutated(public["seconds"], None)
    shares = [(tree, files[first :: len(copies)]) for first, tree in enumerate(copies)]
    with ThreadPoolExecutor(len(copies)) as threads:
        runs = [
            *threads.map(
                lambda pair: pair[0].run_tests(pair[1], None), [pair for pair in shares if pair[1]]
            )
        ]
    for ran in runs:
        if ran.code not in {0, 1}:
            raise SystemExit(f"pytest fails without any mutant:\n{ran.output[-3000:]}")
    failing = tuple(name for ran in runs for name in failed_tests(ran.output))
    return Unmutated(public["seconds"], round(sum(ran.seconds for ran in runs), 1), failing)


def tried(
    mutant: Mutant, tree: Tree, limits: Limits, files: Callable[[str], Sequence[str]] | None
) -> Result:
    """Try a mutant on the public checks, and on the tests if it survives those."""
    with tree.mutated(mutant):
        public = tree.try_public(mutant.group, limits.public)
        result = mutant.as_json() | {"public": public, "tests": None}
        if files and public["outcome"] == "survived":
            result["tests"] = tree.try_tests(files(mutant.group), limits.tests)
        if "survived" in {(result["tests"] or public)["outcome"]}:
            result["diff"] = mutant.diff()
    if public.get("check") == NO_ANSWER and not tree.answers():
        raise RuntimeError(f"without a mutant, the public checks fail too: {public['message']}")
    return result


def results(
    mutants: Sequence[Mutant],
    copies: Sequence[Tree],
    limits: Limits,
    files: Callable[[str], Sequence[str]] | None,
    seconds: float | None = None,
) -> Iterator[Result]:
    """Try mutants in any order, one at a time in each copy; start none after ``seconds``."""
    free: SimpleQueue[Tree] = SimpleQueue()
    for tree in copies:
        free.put(tree)
    started, stopped = time.monotonic(), threading.Event()

    def run(mutant: Mutant) -> Result | None:
        late = seconds is not None and time.monotonic() - started > seconds
        if late or stopped.is_set():
            return None
        tree = free.get()
        try:
            return tried(mutant, tree, limits, files)
        finally:
            free.put(tree)

    with ThreadPoolExecutor(len(copies)) as threads:
        futures = [threads.submit(run, mutant) for mutant in mutants]
        try:
            for future in as_completed(futures):
                result = future.result()
                if result is not None:
                    yield result
        finally:
            stopped.set()
            for tree in copies:
                tree.stop()


def finished(
    kept: Sequence[Result], mutants: Sequence[Mutant], *, tests: bool, retry: bool
) -> list[Result]:
    """The kept results of these mutants, without those that lack tests, or are to be tried again.

    ``retry``: try again those that no property named.
    """
    ids = {mutant.id for mutant in mutants}
    return [
        result
        for result in kept
        if result["id"] in ids
        and not (retry and result["public"]["outcome"] != "named")
        and not (tests and not result["tests"] and result["public"]["outcome"] == "survived")
    ]


def save(path: Path, document: dict[str, Any]) -> None:
    """Write results whole or not at all."""
    partial = path.with_name(f"{path.name}.part")
    partial.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(partial, path)
