"""Try mutated and odd files, each under limits of time and memory.

    python runtime/benchmarks/fuzz specs --count 20000
    python runtime/benchmarks/fuzz files --count 1000 --seed 7
    python runtime/benchmarks/fuzz oddities
    python runtime/benchmarks/fuzz specs --seed 7 --from 1234 --count 1 --keep findings

`specs` are mutated specs (text and JSON), `files` mutated clips, masks, annotations, plans and run
folders, `oddities` bombs and odd files that are listed by name. Each case is checked, bound,
compiled and decoded as far as it goes. What may come of it: a result, or findings with codes. What
may not: a traceback, two seconds of a processor, a gigabyte of memory. Case N of a seed is the same
everywhere: `--from N --count 1` repeats it, `--from N` continues. Findings are kept in a folder
with their files.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from case import BAD, Fuzzer, Result
from pool import results
from worker import work

KINDS = ("specs", "files", "oddities")


def main() -> int:
    """Run a fuzzer; the exit code is 1 if there are findings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--from", dest="first", type=int, default=0, metavar="CASE")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep findings here")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ["GRAINSPEC_DEBUG"] = "1"
    fuzzer: Fuzzer = import_module(given.kind).FUZZER
    if given.worker:
        work(fuzzer, given.seed, given.keep)
        return 0
    count = given.count if fuzzer.count is None else min(given.count, fuzzer.count - given.first)
    indices = range(given.first, given.first + count)
    command = [str(Path(__file__).parent), given.kind, "--worker", "--seed", str(given.seed)]
    command += ["--keep", str(given.keep)] if given.keep else []
    started = time.perf_counter()
    listed = []
    try:
        for result in results(fuzzer, indices, command, seed=given.seed, workers=given.workers):
            listed.append(result)
            if result.is_bad or fuzzer.count is not None:
                print(_line(result), flush=True)
                print(result.detail, end="", file=sys.stderr)
    except KeyboardInterrupt:
        done = {result.index for result in listed}
        print(f"interrupted; continue with --from {next(i for i in indices if i not in done)}")
    print(_table(listed))
    bad = sorted(result.index for result in listed if result.is_bad)
    print(
        f"{len(listed)} cases of seed {given.seed} in {time.perf_counter() - started:.0f} s: ",
        end="",
    )
    print(f"findings in {bad}" if bad else "no findings")
    return 1 if bad else 0


def _line(result: Result) -> str:
    cost = f"{result.seconds:5.2f} s {f'+{result.growth >> 20} MB':>9}"
    return f"{result.index:>6}  {result.outcome:<10} {cost}  {result.name}"


def _table(listed: Iterable[Result]) -> str:
    """A row for each kind of case: how many there were, what came of them, and the largest."""
    groups = defaultdict(list)
    for result in listed:
        groups[result.name.split(":")[0]].append(result)
    lines = [f"{'':<30} cases  fine  refused  findings  slowest  largest"]
    for name, group in sorted(groups.items()):
        outcomes = [result.outcome for result in group]
        lines.append(
            f"{name:<30} {len(group):>5} "
            f"{outcomes.count('fine'):>5} {outcomes.count('refused'):>8} "
            f"{sum(map(outcomes.count, BAD)):>9} {max(r.seconds for r in group):>6.2f} s "
            f"{max(r.growth for r in group) >> 20:>4} MB"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
