"""One case of a fuzzer, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from grainspec.limits import MAX_GROWTH, MAX_SECONDS

P = ParamSpec("P")
R = TypeVar("R")

BUSY_SECONDS = 90.0
"""A worker that computes for so long, in the processor's time, is stopped."""
WAITING_SECONDS = 60.0
"""A worker that says nothing for so long, and hardly computes, is stopped: it waits for ever."""


_STEPS: list[float] = []


def step(function: Callable[P, R]) -> Callable[P, R]:
    """Time a function: one thing that a user would do, such as `grain check`."""

    @wraps(function)
    def timed(*args: P.args, **named: P.kwargs) -> R:
        started = time.process_time()
        try:
            return function(*args, **named)
        finally:
            _STEPS.append(time.process_time() - started)

    return timed


def longest_step() -> float:
    """The longest step since the last call, in seconds."""
    longest = max(_STEPS, default=0.0)
    _STEPS.clear()
    return longest


class Wrong(AssertionError):
    """A case ended, but not as it must."""


@dataclass(frozen=True)
class Fuzzer:
    """A kind of cases.

    ``run`` makes case ``index`` of a seed in an empty folder, and tries it; it returns a word for
    the table (``fine``, ``refused``) and raises for what must not happen. ``count`` is the number
    of cases if it is fixed, ``most_seconds`` what a step of a case may take. ``name`` says what a
    case is.
    """

    run: Callable[[int, int, Path], str]
    name: Callable[[int, int], str]
    count: int | None = None
    most_seconds: Callable[[int], float] = lambda index: MAX_SECONDS


@dataclass(frozen=True)
class Result:
    """What came of a case: ``outcome`` is ``run``'s word, or one of ``BAD``.

    ``seconds`` are those of the longest step, ``growth`` the bytes of the whole case.
    """

    index: int
    name: str
    outcome: str
    seconds: float
    growth: int
    detail: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether the case is a finding."""
        return self.outcome in BAD

    def as_json(self) -> dict[str, Any]:
        """The result as JSON values."""
        return asdict(self)


BAD = {
    "traceback": "an exception that is not a finding with a code",
    "slow": "a step took too many seconds",
    "large": f"memory grew by more than {MAX_GROWTH >> 20} MB",
    "hung": f"no answer after {BUSY_SECONDS:g} s of computing or {WAITING_SECONDS:g} s of waiting",
    "died": "the process ended",
}
