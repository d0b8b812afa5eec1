"""Plant random mistakes, and count how many the public properties and the project's tests catch.

    python runtime/benchmarks/mutants --seed 1 --count 150 --jobs 16 --out mutants.json
    python runtime/benchmarks/mutants --seed 1 --count 150 --out mutants.json       # continues
    python runtime/benchmarks/mutants --seed 1 --count 150 --list                   # as JSON
    python runtime/benchmarks/mutants --show 3f2a90c1 5d1188e0                      # as diffs
    python runtime/benchmarks/mutants --sample       # the gate's; exits with 1 if one survives
    python runtime/benchmarks/mutants --equivalent   # those of equivalent.toml; none may be caught

A mutant is a module of `grainspec/plan`, `grainspec/regions` or the word matcher with one small
change (`operators.py`), drawn by seed: first a place, then a change of it. It runs in a copy of the
tree. First the public checks try to catch it (`public.py`: functions of `grainspec.testing` with
fixed seeds, of which the first named property counts), then the tests of the light package.

Mutants that cannot be told from the original are listed in `equivalent.toml` with the reason. When
one of them is drawn, it is reported, and another is drawn in its place.

Why not a public mutation tester? mutmut 3 mutates functions only, not the module's own tables and
defaults; it calls mutated functions through trampolines, and its one question is whether pytest
fails: it cannot tell a named property from a crash. cosmic-ray runs any command, but its mutants
lack slices, deleted statements, conditions, defaults returned, swapped arguments, `min` and `any`;
it mutates annotations, messages and decorators too; it edits the tree in place, and would bring
thirteen more packages.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from mutant import SHARES, Mutant, drawn, found, listed, mutants
from project_tests import OPTIONS, test_files
from tables import caught_by, one_line, survived, table
from tree import Limits, Tree
from trying import Unmutated, finished, results, save, trees, unmutated

ROOT = Path(__file__).resolve().parents[3]
SAMPLE_LIMITS = Limits(public=60, tests=60)


def main() -> int:
    """Do what the options say; the exit code is 1 if a listed mutant is not what the list says."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leave no copies behind
    if options.show:
        return _show(options.show)
    if options.sample:
        return _sample(options.jobs)
    if options.equivalent:
        return _equivalent(options.jobs)
    made = [m for m in mutants(ROOT) if options.only in {None, m.group}]
    chosen, skipped = drawn(
        made, options.seed, options.count, shares=SHARES, left_out=listed("equivalent.toml")
    )
    if options.list:
        print(json.dumps([mutant.as_json() for mutant in chosen], indent=1, ensure_ascii=False))
        return 0
    _round(options, chosen, skipped)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python runtime/benchmarks/mutants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=150, help="number of mutants (150)")
    parser.add_argument("--only", choices=SHARES, help="mutate this group of modules only")
    parser.add_argument("--jobs", type=int, default=1, help="number of mutants tried at once (1)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="keep results here, and continue")
    parser.add_argument("--retry", action="store_true", help="try again what no property named")
    parser.add_argument("--no-tests", action="store_true", help="run the public checks only")
    parser.add_argument("--minutes", type=float, help="start no mutant after so many minutes")
    parser.add_argument("--list", action="store_true", help="list the mutants as JSON, and stop")
    parser.add_argument("--show", nargs="+", metavar="ID", help="show mutants as diffs, and stop")
    parser.add_argument("--sample", action="store_true", help="try the fixed sample of the gate")
    parser.add_argument("--equivalent", action="store_true", help="try the equivalent mutants")
    return parser.parse_args()


def _show(ids: list[str]) -> int:
    by_id = {mutant.id: mutant for mutant in mutants(ROOT)}
    for name in ids:
        print(by_id[name].diff() if name in by_id else f"no mutant has the id {name}")
    return 0 if all(name in by_id for name in ids) else 1


def _round(options: argparse.Namespace, chosen: list[Mutant], skipped: list[Mutant]) -> None:
    """Try what was drawn, and print the tables."""
    document: dict[str, Any] = {"usual": None, "results": []}
    if options.out and options.out.exists():
        document = json.loads(options.out.read_text(encoding="utf-8"))
    done = finished(document["results"], chosen, tests=not options.no_tests, retry=options.retry)
    todo = [mutant for mutant in chosen if mutant.id not in {result["id"] for result in done}]
    started = time.monotonic()
    with trees(ROOT, min(options.jobs, len(todo))) as copies:
        if todo:
            usual = _usual(document["usual"], copies, options)
            print(f"without a mutant: {json.dumps(usual.as_json())}", flush=True)
            skip = [f"--deselect={name}" for name in usual.failing]
            for tree in copies:
                tree.tests = [*OPTIONS, *skip]
            files = None if options.no_tests else partial(test_files, copies[0].place)
            document["usual"] = usual.as_json()
            seconds = None if options.minutes is None else 60 * options.minutes
            for result in results(todo, copies, usual.limits, files, seconds):
                done.append(result)
                print(one_line(result), flush=True)
                if options.out:
                    save(options.out, document | {"seed": options.seed, "results": done})
    order = {mutant.id: index for index, mutant in enumerate(chosen)}
    done.sort(key=lambda result: order[result["id"]])
    print(f"\n{len(done)} of {len(chosen)} mutants, {time.monotonic() - started:.0f} s\n")
    print(table(done), caught_by(done), sep="\n\n")
    for result in survived(done):
        print(f"\nsurvived: {result['id']} ({result['operator']})\n{result['diff']}", end="")
    for mutant in skipped:
        print(f"\nequivalent, not counted: {mutant.id}\n{mutant.diff()}", end="")


def _usual(
    kept: dict[str, Any] | None, copies: list[Tree], options: argparse.Namespace
) -> Unmutated:
    """What the tree does without a mutant, as kept from an earlier run, or measured."""
    if kept and (kept["tests"] or options.no_tests) and not options.retry:
        return Unmutated(kept["public"], kept["tests"], tuple(kept["failing"]))
    for tree in copies:
        tree.tests = OPTIONS
    return unmutated(copies, [] if options.no_tests else test_files(copies[0].place, ""))


def _sample(jobs: int) -> int:
    """Try the fixed sample; every mutant must be caught by a named property."""
    chosen, gone = found(listed("sample.toml"), mutants(ROOT))
    for entry in gone:
        print(f"{entry.file} has no such line now: update sample.toml\n  {entry.before}")
    bad = bool(gone)
    with trees(ROOT, jobs) as copies:
        for result in results(chosen, copies, SAMPLE_LIMITS, None):
            print(one_line(result), flush=True)
            if result["public"]["outcome"] != "named":
                bad = True
                print(f"no property of grainspec.testing names this:\n{result.get('diff', '')}")
                print(json.dumps(result["public"], ensure_ascii=False))
    print(f"{len(chosen)} mutants of the sample: {'not all' if bad else 'all'} caught by name")
    return int(bad)


def _equivalent(jobs: int) -> int:
    """Try the mutants that are listed as equivalent; nothing may catch them."""
    chosen, gone = found(listed("equivalent.toml"), mutants(ROOT))
    for entry in gone:
        print(f"{entry.file} has no such line now: update equivalent.toml\n  {entry.before}")
    bad = bool(gone)
    with trees(ROOT, jobs) as copies:
        for tree in copies:
            tree.tests = OPTIONS
        files = partial(test_files, copies[0].place)
        for result in results(chosen, copies, Limits(600, 1800), files):
            print(one_line(result), flush=True)
            bad = bad or result not in survived([result])
    return int(bad)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted")
