"""The fields of ``batch.json``, which anyone may have written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

_END_OF_TIME = 253_402_300_800
"""Seconds from 1970 to the year 10000, which Python has no dates of."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_time(value: Any) -> bool:
    return _is_number(value) and 0 <= value < _END_OF_TIME


def _has_counts(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


def _is_workers(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(worker, dict) for worker in value)


def _is_longest(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(name), str) for name in ("stage", "job", "host"))
        and _is_time(value.get("seconds"))
    )


_COUNT = ("a whole number from 0", _is_count)
_TIME = ("seconds since 1970", _is_time)
_FIELDS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "jobs": _COUNT,
    "kept": _COUNT,
    "inversions": _COUNT,
    "started": _TIME,
    "updated": _TIME,
    "ended": ("true or false", lambda value: isinstance(value, bool)),
    "stages": ("an object with a whole number for each stage", _has_counts),
    "workers": ("a list of objects", _is_workers),
    "longest": ("an object with `stage`, `job`, `host` and `seconds`", _is_longest),
}
"""What is read, and what it must be; all but ``jobs`` may be missing."""


def fault_in(facts: Mapping[str, Any]) -> str:
    """Return what is wrong with the content of ``batch.json``; empty if nothing is.

    >>> fault_in({"jobs": 2, "stages": 7})
    'invalid value `7` for `stages`: an object with a whole number for each stage'
    """
    if "jobs" not in facts:
        return "it has no `jobs`"
    for name, (expected, suits) in _FIELDS.items():
        if name in facts and not suits(facts[name]):
            value = json.dumps(facts[name], ensure_ascii=False)[:60]
            return f"invalid value `{value}` for `{name}`: {expected}"
    return ""
