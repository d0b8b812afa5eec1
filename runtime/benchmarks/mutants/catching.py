"""Run the public checks on a mutated tree, in a process of its own; say what catches the mutant.

The outcome is ``named`` if a check raises :class:`grainspec.testing.Broken` for a property,
``crash`` if checks raise other errors only, and ``survived`` if none does. An error that a property
only passes on, as its cause, is a crash too. After a crash the other checks still run, since one of
them may name the mistake.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

Check = tuple[str, Callable[[], object]]

UNNAMED = frozenset({"compiling"})
"""Names of broken properties which say no more than that something crashed."""


def caught(checks: Sequence[Check]) -> dict[str, str]:
    """Run checks until one fails by a named property; return what came of it as JSON values."""
    crash: dict[str, str] = {}
    for name, check in checks:
        try:
            check()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            for part in _parts(error):
                if names_property(part):
                    return _outcome("named", name, _property(part) or "", part)
            crash = crash or _outcome("crash", name, type(error).__name__, error)
    return crash or {"outcome": "survived"}


def names_property(error: BaseException) -> bool:
    """Whether an error is a broken property, and not a crash that was given a property's name."""
    name, cause = _property(error), error.__cause__
    if name is None or name in UNNAMED:
        return False
    return cause is None or type(cause).__name__ == "GrainError" or names_property(cause)


def _property(error: BaseException) -> str | None:
    return getattr(error, "invariant", None)  # Broken has it; its module may be broken by a mutant


def _outcome(outcome: str, check: str, by: str, error: BaseException) -> dict[str, str]:
    return {"outcome": outcome, "check": check, "by": by, "message": str(error)[:600]}


def _parts(error: BaseException) -> Iterator[BaseException]:
    """An error, or those of a group of errors."""
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _parts(part)
    else:
        yield error


def main(
    checks: Sequence[Check],
    package: str,
    first: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> None:
    """Write what catches a mutant to a file; the arguments are the file and the mutant's group.

    ``first`` has the checks that run first for a group. With the argument ``--times``, print how
    long each check takes; with ``--import``, do no more than import them.
    """
    home = sys.modules[package].__file__ or ""
    if not Path(home).resolve().is_relative_to(Path.cwd().resolve()):
        sys.exit(f"{package} is imported from {home}, not from the copy in {Path.cwd()}")
    if sys.argv[1:] == ["--import"]:
        return
    if sys.argv[1:] == ["--times"]:
        print(caught([(name, _timed(name, check)) for name, check in checks]))
        return
    place, group = sys.argv[1:]
    ordered = sorted(checks, key=lambda check: check[0] not in first.get(group, ()))
    Path(place).write_text(json.dumps(caught(ordered)), encoding="utf-8")


def _timed(name: str, check: Callable[[], object]) -> Callable[[], object]:
    def timed() -> None:
        started = time.perf_counter()
        try:
            check()
        finally:
            print(f"{name:<24} {time.perf_counter() - started:6.2f} s", flush=True)

    return timed
