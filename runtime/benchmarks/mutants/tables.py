"""Results as text: a table by group of modules, what caught how many, and the survivors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from trying import Result

_COLUMNS = (
    "",
    "mutants",
    "named property",
    "crash",
    "timeout",
    "public checks",
    "with the tests",
    "survivors",
)


def table(results: Sequence[Result]) -> str:
    """A row for each group and one for all, in Markdown."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result["group"], []).append(result)
    rows = [_row(name, group) for name, group in groups.items()]
    rows += [_row("all", results)] if len(groups) > 1 else []
    lines = [_COLUMNS, ("---",) * len(_COLUMNS), *rows]
    return "\n".join(f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in lines)


def _row(name: str, results: Sequence[Result]) -> tuple[str, ...]:
    count = len(results)
    public = Counter(result["public"]["outcome"] for result in results)
    survivors = len(survived(results))
    tested = all(result["tests"] or result["public"]["outcome"] != "survived" for result in results)
    return (
        name,
        str(count),
        _share(public["named"], count),
        str(public["crash"]),
        str(public["timeout"]),
        _share(count - public["survived"], count),
        _share(count - survivors, count) if tested else "not run",
        str(survivors),
    )


def _share(part: int, count: int) -> str:
    return f"{part} ({part / max(count, 1):.0%})"


def survived(results: Iterable[Result]) -> list[Result]:
    """The mutants that nothing caught."""
    return [r for r in results if (r["tests"] or r["public"])["outcome"] == "survived"]


def caught_by(results: Iterable[Result]) -> str:
    """How many mutants each property caught, and how many of the rest each test file."""
    properties = Counter(r["public"]["by"] for r in results if r["public"]["outcome"] == "named")
    tests = Counter(
        str(r["tests"].get("by", "timeout")).partition("::")[0]
        for r in results
        if r["tests"] and r["tests"]["outcome"] != "survived"
    )
    lines = [f"{count:>4} {name}" for name, count in properties.most_common()]
    lines += [f"{count:>4} {name} (not by a public check)" for name, count in tests.most_common()]
    return "\n".join(lines)


def one_line(result: Result) -> str:
    """What came of a mutant, in a line."""
    where = f"{result['id']} {result['file']}:{result['line']} {result['operator']}"
    public, tests = result["public"], result["tests"]
    said = f"{public['outcome']} {public.get('check', '')} {public.get('by', '')}".strip()
    if tests:
        said += f"; tests: {tests['outcome']} {tests.get('by', '')}".rstrip()
    seconds = public["seconds"] + (tests["seconds"] if tests else 0)
    return f"{where:<64} {said} ({seconds:.0f} s)"
