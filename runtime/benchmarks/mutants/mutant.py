"""Mutants: made of a module's text, drawn at random by seed, and known by their lines."""

from __future__ import annotations

import ast
import difflib
import hashlib
import random
import tomllib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from operators import Edit, edits
from source import Source

HOME = Path(__file__).parent
Groups = Mapping[str, tuple[str, ...]]

GROUPS: Groups = {
    "plan": ("grainspec/plan/*.py",),
    "regions": ("grainspec/regions/*.py",),
    "words": ("grainspec/words.py", "grainspec/scripts.py"),
}
"""The mutated files of each group of modules, as patterns."""
SHARES = {"plan": 2, "regions": 2, "words": 1}
"""The proportions of mutants that are drawn from each group."""


@dataclass(frozen=True)
class Mutant:
    """A module with one change: its lines before and after, without indentation."""

    group: str
    file: str
    edit: Edit
    source: Source

    @property
    def line(self) -> int:
        """The number of the first changed line, from 1."""
        return self.source.rows(self.edit.span)[0] + 1

    @cached_property
    def before(self) -> str:
        """The lines that are changed, each run of white space as one blank."""
        start, end = self.source.around(self.edit.span)
        return " ".join(self.source.data[start:end].decode().split())

    @cached_property
    def after(self) -> str:
        """The same lines after the change."""
        (start, end), (first, last) = self.source.around(self.edit.span), self.edit.span
        data = self.source.data
        changed = data[start:first] + self.edit.text.encode() + data[last:end]
        return " ".join(changed.decode().split())

    @property
    def id(self) -> str:
        """A short name, which the mutant keeps when other lines change."""
        named = "\n".join([self.file, self.before, self.after])
        return hashlib.sha256(named.encode()).hexdigest()[:8]

    @property
    def changed(self) -> bytes:
        """The whole module with the change; all else is as it was, byte for byte."""
        start, end = self.edit.span
        return self.source.data[:start] + self.edit.text.encode() + self.source.data[end:]

    @property
    def is_valid(self) -> bool:
        """Whether the changed module compiles, and is another program."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                compile(self.changed, self.file, "exec")
            except SyntaxError:
                return False
        return ast.dump(ast.parse(self.changed)) != ast.dump(self.source.tree)

    def diff(self) -> str:
        """The change as a unified diff."""
        texts = (self.source.data, self.changed)
        before, after = (data.decode().splitlines(keepends=True) for data in texts)
        names = f"a/{self.file}", f"b/{self.file}"
        return "".join(difflib.unified_diff(before, after, *names, n=2))

    def as_json(self) -> dict[str, Any]:
        """The mutant as JSON values."""
        names = ("id", "group", "file", "line", "before", "after")
        return {name: getattr(self, name) for name in names} | {"operator": self.edit.operator}


def mutants(root: Path, groups: Groups = GROUPS) -> Iterator[Mutant]:
    """All mutants of a tree, by file and place, also those that do not compile."""
    for group, patterns in groups.items():
        for path in sorted(path for pattern in patterns for path in root.glob(pattern)):
            source = Source(path.read_bytes())
            for edit in sorted(edits(source)):
                yield Mutant(group, path.relative_to(root).as_posix(), edit, source)


def drawn(
    made: Iterable[Mutant],
    seed: int,
    count: int,
    *,
    shares: Mapping[str, int] = SHARES,
    left_out: Iterable[Known] = (),
) -> tuple[list[Mutant], list[Mutant]]:
    """Draw mutants at random: first a place in the text, then a change of it.

    The second list has those that were drawn and are ``left_out``; others were drawn instead.
    """
    known = {entry.key for entry in left_out}
    places: dict[str, dict[tuple[str, tuple[int, int]], list[Mutant]]] = {}
    for mutant in made:
        of_group = places.setdefault(mutant.group, {})
        of_group.setdefault((mutant.file, mutant.edit.place), []).append(mutant)
    chosen: dict[str, Mutant] = {}
    skipped: dict[str, Mutant] = {}
    total = sum(shares[group] for group in places)
    for group, of_group in places.items():
        rng = random.Random(f"{seed} {group}")
        order = list(of_group.values())
        rng.shuffle(order)
        wanted = len(chosen) + round(count * shares[group] / total)
        for changes in order:
            mutant = rng.choice(changes)
            if len(chosen) >= wanted:
                break
            if mutant.id not in chosen and mutant.is_valid:
                listed = (mutant.file, mutant.before, mutant.after) in known
                (skipped if listed else chosen)[mutant.id] = mutant
    return list(chosen.values()), list(skipped.values())


@dataclass(frozen=True)
class Known:
    """A listed mutant: a file, its lines before and after, and why it is listed."""

    file: str
    before: str
    after: str
    reason: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What a mutant must have in common with it, with runs of white space as one blank."""
        return self.file, " ".join(self.before.split()), " ".join(self.after.split())


def listed(name: str) -> list[Known]:
    """The mutants of a list beside this file, such as ``sample.toml``."""
    entries = tomllib.loads((HOME / name).read_text(encoding="utf-8")).get("mutant", [])
    return [Known(**entry) for entry in entries]


def found(known: Iterable[Known], made: Iterable[Mutant]) -> tuple[list[Mutant], list[Known]]:
    """The mutants of a list, and those entries that are in the text no more."""
    by_key = {(mutant.file, mutant.before, mutant.after): mutant for mutant in made}
    here = [by_key[entry.key] for entry in known if entry.key in by_key]
    return here, [entry for entry in known if entry.key not in by_key]
