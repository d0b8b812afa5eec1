"""Run the public checks on a mutated tree, in a process of its own; say what catches the mutant.

The outcome is ``named`` if a check raises :class:`grainspec.testing.Broken` for a property,
``crash`` if checks raise other errors only, and ``survived`` if none does. After a crash the other
checks still run, since one of them may name the cause.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

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
                property_ = getattr(part, "invariant", None)
                if property_ and property_ not in UNNAMED:
                    return _outcome("named", name, property_, part)
            crash = crash or _outcome("crash", name, type(error).__name__, error)
    return crash or {"outcome": "survived"}


def _outcome(outcome: str, check: str, by: str, error: BaseException) -> dict[str, str]:
    return {"outcome": outcome, "check": check, "by": by, "message": str(error)[:600]}


def _parts(error: BaseException) -> Iterator[BaseException]:
    """An error, or those of a group of errors."""
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _parts(part)
    else:
        yield error


def main(checks: Sequence[Check], package: str) -> None:
    """Write what catches the mutant to the file in the arguments; ``--times`` prints times."""
    home = sys.modules[package].__file__ or ""
    if not Path(home).resolve().is_relative_to(Path.cwd().resolve()):
        sys.exit(f"{package} is imported from {home}, not from the copy in {Path.cwd()}")
    if sys.argv[1:] == ["--times"]:
        checks = [(name, _timed(name, check)) for name, check in checks]
        print(caught(checks))
    else:
        Path(sys.argv[1]).write_text(json.dumps(caught(checks)), encoding="utf-8")


def _timed(name: str, check: Callable[[], object]) -> Callable[[], object]:
    def timed() -> None:
        started = time.perf_counter()
        try:
            check()
        finally:
            print(f"{name:<24} {time.perf_counter() - started:6.2f} s", flush=True)

    return timed
