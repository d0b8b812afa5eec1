"""Where a sampling run stands, kept as it goes, so that one that was interrupted can continue.

The state after a step (:mod:`grainspec_runtime.processes.state`) is kept in full precision: what
continues from there gives the very bits of a run in one go.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from grainspec_runtime.cache.store import Warn, drop_entry, load_entry, save_entry
from grainspec_runtime.processes.state import LATENTS

KIND = "unfinished"
_DONE = "done"

_SECONDS_BETWEEN = 1.0
"""Least time from one state kept to the next: what is lost, and what keeping costs, stay small."""


def run_key(facts: Mapping[str, Any]) -> str:
    """A hash of everything that a sampling run's result depends on."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclass
class Kept:
    """The states of one sampling run."""

    key: str
    steps: int
    about: Mapping[str, str]
    _last: float = field(default_factory=time.monotonic)

    def __call__(self, done: int, state: Mapping[str, Tensor]) -> None:
        """Keep the state after so many finished steps, unless another was kept just now.

        The last is always kept: it says that the run is done, until it is dropped.
        """
        now = time.monotonic()
        if done < self.steps and now - self._last < _SECONDS_BETWEEN:
            return
        tensors = {**state, _DONE: torch.tensor(done)}
        save_entry(KIND, self.key, tensors, {**self.about, "step": f"{done} of {self.steps}"})
        self._last = now

    def load(self, like: Tensor, warn: Warn) -> tuple[int, dict[str, Tensor]] | None:
        """The finished steps of an earlier run and the state after them; None if there are none.

        ``like`` has the latents' shape.
        """
        found = load_entry(KIND, self.key, warn)
        if not found or not {_DONE, LATENTS} <= found.keys():
            return None
        done = int(found.pop(_DONE))
        if found[LATENTS].shape != like.shape or not 0 < done <= self.steps:
            return None
        return done, found

    def drop(self) -> None:
        """Forget the run: it is finished, or to be begun anew."""
        drop_entry(KIND, self.key)
