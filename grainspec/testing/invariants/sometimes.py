"""What is too slow to check of every case is checked of some, always of the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from zlib import crc32

from grainspec.testing.case import Case

Item = TypeVar("Item")


def chosen(case: Case, items: Sequence[Item], count: int) -> list[Item]:
    """As many of the items; which ones depends on the case, and on nothing else."""
    first = _number(case)
    return [items[(first + place) % len(items)] for place in range(min(count, len(items)))]


def now_and_then(case: Case, every: int) -> bool:
    """Whether a case is one of about every n-th."""
    return _number(case) % every == 0


def _number(case: Case) -> int:
    """A number that the case determines."""
    attention = case.spec.attention
    text = f"{case.spec.target}{case.layout.names}{attention.until}{attention.cross}"
    return crc32(case.layout.bits_FHW.tobytes() + text.encode())
