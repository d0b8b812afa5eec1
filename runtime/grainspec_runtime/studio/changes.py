"""What a run has otherwise than the run before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_MOST, _LONGEST = 6, 60


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The settings that differ between the manifests of two runs, such as `sampler.steps 20 → 30`.

    What has no short value is named only: `edits`.

    >>> changes({"spec": {"sampler": {"steps": 20}}}, {"spec": {"sampler": {"steps": 30}}})
    ['sampler.steps 20 → 30']
    """
    found = list(_changes("", before.get("spec"), now.get("spec")))
    return found if len(found) <= _MOST else [*found[: _MOST - 1], f"{len(found) - _MOST + 1} more"]


def is_same(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether two runs have the same result: clip, masks, model and settings are all the same."""
    key = now.get("run_key")
    return isinstance(key, str) and key == before.get("run_key")


def _changes(name: str, before: object, now: object) -> Iterator[str]:
    if before == now:
        return
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            yield from _changes(f"{name}.{key}" if name else key, before.get(key), now.get(key))
    elif _is_short(before) and _is_short(now):
        yield f"{name} {_shown(before)} → {_shown(now)}"
    else:
        yield name


def _is_short(value: object) -> bool:
    return not isinstance(value, dict | list | str)


def _shown(value: object) -> str:
    return "none" if value is None else str(value).lower()[:_LONGEST]
