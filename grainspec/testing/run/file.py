"""Test a spec file: the spec, its variants, and random changes of each."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path
from typing import Any

from grainspec.diagnostics import GrainError
from grainspec.loading import load
from grainspec.model.spec import EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.shell import shell_path
from grainspec.testing.broken import Broken
from grainspec.testing.case import Compiler, compiled
from grainspec.testing.run.cases import Checker, Trial
from grainspec.testing.run.changes import FileCase, file_case
from grainspec.testing.run.properties import properties
from grainspec.testing.run.shrink import smallest
from grainspec.text.parse import parse
from grainspec.text.printer import dumps

Progress = Callable[[int, int], None]
"""A function that is called with the number of finished cases and the number of all cases."""

_EXAMPLES = 15
_SHRUNK = 3
"""How many failures of a file are shrunk; the others are most often of the same cause."""

_OF_STATEMENTS = {"errors", "carving", "warnings"}
"""The properties of regions that depend on the statements about them."""


@dataclass(frozen=True)
class Failure:
    """A violated invariant: how the smallest spec that was found violates it.

    ``variant`` and ``number`` say which case violated it first; ``changes`` are the lines of that
    case's spec which are not in the file. ``spec`` is the text of the smallest spec, and
    ``backbone`` the Python expression of its backbone if it is not the usual one. ``of_regions``:
    a property of regions is violated, before any plan. ``shrunk``: ``spec`` was made as small as
    possible; otherwise it is the case's own.
    """

    variant: str
    number: int
    broken: Broken
    changes: tuple[str, ...]
    spec: str
    backbone: str
    command: str
    of_regions: bool = False
    shrunk: bool = True

    def __str__(self) -> str:
        return f"{self.case}: {self.broken}"

    @property
    def case(self) -> str:
        """The name of the case: ``as it is``, ``variant left, case 7``."""
        named = [f"variant {self.variant}"] if self.variant else []
        if self.number or not named:
            named.append(f"case {self.number}" if self.number else "as it is")
        return ", ".join(named)

    def explained(self) -> str:
        """The failure with the spec that shows it and the command that repeats it.

        The spec belongs into the folder of the file, where its relative paths start.
        """
        lines = [str(self.broken), f"  first seen: {self.case}{':' * bool(self.changes)}"]
        lines += [f"    {line}" for line in self.changes]
        lines += [f"  {'smallest ' * self.shrunk}spec that fails:", ""]
        lines += [f"    {line}".rstrip() for line in self.spec.splitlines()]
        lines += [""]
        if self.backbone:
            lines += [f"  its backbone: {self.backbone}"]
        return "\n".join([*lines, f"  reproduce with: {self.command}"])

    def as_json(self) -> dict[str, Any]:
        """The failure as JSON values."""
        return {
            "invariant": self.broken.invariant,
            "of": "regions" if self.of_regions else "plan",
            "case": self.case,
            "variant": self.variant or None,
            "number": self.number,
            "message": str(self.broken),
            "where": {name: str(value) for name, value in self.broken.where.items()},
            "changes": list(self.changes),
            "spec": self.spec,
            "backbone": self.backbone or None,
            "command": self.command,
            "shrunk": self.shrunk,
        }


@dataclass
class FileResult:
    """The result of testing a file: the number of cases, and each invariant's first failure.

    ``tested`` are the names of the variants, "" being the edit that is in no variant.
    """

    path: str
    seed: int
    cases: int = 0
    failures: list[Failure] = field(default_factory=list)
    invariants: tuple[str, ...] = ()
    region_properties: tuple[str, ...] = ()
    tested: tuple[str, ...] = ()
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The result as JSON values; they do not depend on how long it took."""
        return {
            "path": self.path,
            "seed": self.seed,
            "cases": self.cases,
            "invariants": list(self.invariants),
            "region_properties": list(self.region_properties),
            "failures": [failure.as_json() for failure in self.failures],
        }


def check_file(
    path: str | Path,
    *,
    compiler: Compiler = compiled,
    backbone: Backbone | None = None,
    examples: int | None = None,
    seed: int = 0,
    invariants: Collection[str] | None = None,
    case: int | None = None,
    variant: str | None = None,
) -> None:
    """Check in a test suite that the plans of a spec, and of random changes of it, are correct.

    The arguments are those of :func:`try_file`. Raises :class:`grainspec.testing.Broken` for the
    first violated invariant, with the smallest spec that violates it, and GrainError for mistakes
    in the spec or its files.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:  # a clip of one frame
    ...     (Path(folder) / "clip").mkdir()
    ...     Image.new("RGB", (64, 64)).save(f"{folder}/clip/00000.png")
    ...     file = Path(folder) / "edit.grain"
    ...     _ = file.write_text(
    ...         'grain 1 video "clip" target "a bear" region r = ellipse(0%, 0%, 50%, 100%)'
    ...         ' edit r -> "bear"'
    ...     )
    ...     check_file(file, examples=2)
    """
    result = try_file(
        path,
        compiler=compiler,
        backbone=backbone,
        examples=examples,
        seed=seed,
        invariants=invariants,
        case=case,
        variant=variant,
        first=True,
    )
    if result.failures:
        failure = result.failures[0]
        message = failure.explained().removeprefix(f"{failure.broken.invariant}: ")
        raised = Broken(failure.broken.invariant, message)
        raised.where = failure.broken.where
        raise raised from failure.broken


def try_file(
    path: str | Path,
    *,
    compiler: Compiler = compiled,
    backbone: Backbone | None = None,
    examples: int | None = None,
    seed: int = 0,
    invariants: Collection[str] | None = None,
    case: int | None = None,
    variant: str | None = None,
    first: bool = False,
    progress: Progress = lambda done, total: None,
) -> FileResult:
    """Test a spec, each of its variants, and ``examples`` random changes of each.

    By default there are about 15 random changes in all, shared among the variants. A change is of
    settings, weights, frames, size and crop of the clip, and cuts of regions by boxes. It follows
    from ``seed``, the variant and the number of the case; ``case`` tests the one with this number,
    0 being the spec as it is, which alone has its regions checked; ``variant`` only this variant.

    Plans are compiled for ``backbone``, such as ``outlined_model(spec, base).backbone`` of
    :mod:`grainspec.checking`, which must support the spec. Without one, they are compiled for
    :func:`word_backbone` with whatever levels, text tokens and frame size the spec asks for, and
    random changes also change the backbone.

    The regions are checked by :func:`check_regions`, as they are. ``invariants`` are the names of
    those to check, of plans and of regions, or None for all; with ``first``, only the first failure
    is searched for. Raises GrainError for mistakes in the spec or its files, ValueError for unknown
    invariants and variants, for numbers below 0, and if there is nothing to check.

    >>> FileResult("edit.grain", seed=0).as_json()["failures"]
    []
    """
    start = time.monotonic()
    path = Path(path)
    edits = edits_of(load(path))
    if variant is not None:
        if variant not in edits:
            known = ", ".join(filter(None, edits)) or "none"
            raise ValueError(f"unknown variant {variant}; there are: {known}")
        edits = {variant: edits[variant]}
    for what, value in (("examples", examples), ("case", case)):
        if value is not None and value < 0:
            raise ValueError(f"invalid value {value} for `{what}`: a whole number from 0")
    names = properties(invariants)
    if case:  # the regions are those of case 0
        names = names._replace(regions=())
        if not names.plans:
            raise ValueError(
                "regions are checked in case 0 only, and there are no other invariants"
            )
    result = FileResult(str(path), seed, 0, [], *names, tuple(edits))
    checker = Checker(
        next(iter(edits.values())), path.parent, compiler=compiler, backbone=backbone, names=names
    )
    if examples is None:
        examples = max(1, _EXAMPLES // len(edits))
    numbers = range(examples + 1) if case is None else [case]
    for (name, spec), number in product(edits.items(), numbers):
        found = _failures(result, checker, spec, name, number)
        for failure in islice(found, 1 if first else None):
            result.failures.append(failure)
        result.cases += 1
        progress(result.cases, len(edits) * len(numbers))
        if first and result.failures:
            break
    result.seconds = time.monotonic() - start
    return result


def edits_of(spec: EditSpec) -> dict[str, EditSpec]:
    """The specs that a spec stands for, by variant: itself ("") if it is an edit, its variants."""
    edits = {"": spec.without_variants()} if spec.target and spec.changes else {}
    return edits | {name: spec.as_variant(name) for name in spec.variant_names}


def _failures(
    result: FileResult, checker: Checker, spec: EditSpec, variant: str, number: int
) -> Iterator[Failure]:
    """The properties that a case violates, and no case before it."""
    seen = {(failure.of_regions, failure.broken.invariant) for failure in result.failures}
    if number == 0:
        names = checker.names.regions
        if variant != result.tested[0]:  # the same regions, but other statements about them
            names = tuple(name for name in names if name in _OF_STATEMENTS)
        broken = checker.regions_broken(spec, names) if names else None
        if broken is not None and (True, broken.invariant) not in seen:
            yield _failure(result, checker, spec, FileCase(variant, 0, Trial(spec)), broken, True)
    if not checker.names.plans:
        return
    file = file_case(checker, spec, variant, number, result.seed)
    for broken in checker.violations(file.trial, valid=number > 0):
        if (False, broken.invariant) not in seen:
            seen.add((False, broken.invariant))
            yield _failure(result, checker, spec, file, broken, False)


def _failure(
    result: FileResult,
    checker: Checker,
    spec: EditSpec,
    file: FileCase,
    broken: Broken,
    of_regions: bool,
) -> Failure:
    """Shrink a failing case, and check that the text of the result fails by itself."""
    trial, found, again = file.trial, broken, None

    def violates(checker: Checker, trial: Trial) -> Broken | None:
        if of_regions:
            return checker.region_broken(trial.spec, broken.invariant)
        return checker.broken(trial, broken.invariant)

    if len(result.failures) < _SHRUNK:
        trial, found = smallest(
            trial, broken, lambda trial: violates(checker, trial), checker.clip.facts
        )
        again = _read_again(checker, trial, violates)
        if again is None:  # text or files make a difference: show the case itself
            trial, found = file.trial, broken
        else:
            found = again
    return Failure(
        variant=file.variant,
        number=file.number,
        broken=found,
        changes=tuple(_changed_lines(spec, file.trial.spec)),
        spec=dumps(trial.spec),
        backbone=str(trial.stand_in or ""),
        command=_command(result.path, result.seed, file),
        of_regions=of_regions,
        shrunk=again is not None,
    )


def _read_again(
    checker: Checker, trial: Trial, violates: Callable[[Checker, Trial], Broken | None]
) -> Broken | None:
    """How a trial fails when its text is read and its files are read anew."""
    try:
        spec = parse(dumps(trial.spec))
        anew = checker.again(spec)
    except GrainError:
        return None
    return violates(anew, Trial(spec, trial.stand_in))


def _changed_lines(spec: EditSpec, changed: EditSpec) -> Iterator[str]:
    """The lines of a changed spec which the spec does not have."""
    before = {" ".join(line.split()) for line in dumps(spec).splitlines()}  # however aligned
    for line in dumps(changed).splitlines():
        if " ".join(line.split()) not in before:
            yield line.strip()


def _command(path: str, seed: int, file: FileCase) -> str:
    variant = f" --variant {shlex.quote(file.variant)}" if file.variant else ""
    return f"grain test {shell_path(path)} --seed {seed} --case {file.number}{variant}"
