"""What is too slow to check of every case is checked of some, always of the same ones, or once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar
from zlib import crc32

from grainspec.regions.layout import Layout
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case

Item = TypeVar("Item")


def chosen(case: Case, items: Sequence[Item], count: int) -> list[Item]:
    """As many of the items; which ones depends on the case, and on nothing else."""
    first = _number(case) >> 8  # apart from what `now_and_then` looks at
    return [items[(first + place) % len(items)] for place in range(min(count, len(items)))]


def now_and_then(case: Case, every: int) -> bool:
    """Whether a case is one of about every n-th."""
    return _number(case) % every == 0


RESULTS: dict[str, Broken | None] = {}
"""What was found out once, by the name of the invariant."""


def once(name: str, check: Callable[[], None]) -> None:
    """Check what no case matters to; the result is raised for every case of this process."""
    if name not in RESULTS:
        try:
            check()
        except Broken as found:
            RESULTS[name] = found
        else:
            RESULTS[name] = None
    broken = RESULTS[name]
    if broken is not None:
        raise broken.with_traceback(None)


def _number(case: Case) -> int:
    """A number that the case determines."""
    attention = case.spec.attention
    text = f"{case.spec.target}{case.layout.names}{attention.until}{attention.cross}"
    return crc32(text.encode(), _pixels(case.layout))


@lru_cache(maxsize=4)
def _pixels(layout: Layout) -> int:
    return crc32(layout.bits_FHW.tobytes())
