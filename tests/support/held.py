"""The memory that torch holds on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def held(work: Callable[[], Any]) -> int:
    """The most bytes that are held at once, of those that ``work`` allocates."""
    with torch.profiler.profile(
        profile_memory=True, activities=[torch.profiler.ProfilerActivity.CPU]
    ) as seen:
        work()
    now = most = 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most
