"""Save the state of a sampling run, so that an interrupted run can resume.

The state after a step (:mod:`grainspec_runtime.processes.state`) is saved in full precision, so the
result is bit-identical to that of an uninterrupted run.
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
"""Minimum time between two saves: an interruption loses little, and saving takes little time."""


def run_key(facts: Mapping[str, Any]) -> str:
    """Compute a hash of everything that the result of a sampling run depends on."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def drop_run(key: str) -> None:
    """Delete the saved state of the run with this key, if there is one."""
    drop_entry(KIND, key)


@dataclass
class UnfinishedRun:
    """The saved state of one sampling run."""

    key: str
    steps: int
    about: Mapping[str, str]
    _last: float = field(default_factory=time.monotonic)

    def __call__(self, done: int, state: Mapping[str, Tensor]) -> None:
        """Save the state after ``done`` steps, unless the last save was a moment ago.

        The state after the last step is always saved; it marks the run as finished until it is
        deleted.
        """
        now = time.monotonic()
        if done < self.steps and now - self._last < _SECONDS_BETWEEN:
            return
        tensors = {**state, _DONE: torch.tensor(done)}
        save_entry(KIND, self.key, tensors, {**self.about, "step": f"{done} of {self.steps}"})
        self._last = now

    def load(self, like: Tensor, warn: Warn) -> tuple[int, dict[str, Tensor]] | None:
        """Load the number of finished steps and the state after them; None if nothing is saved.

        ``like`` is a tensor with the shape of the latents.
        """
        state = load_entry(KIND, self.key, warn)
        if not state or not {_DONE, LATENTS} <= state.keys():
            return None
        done = int(state.pop(_DONE))
        if state[LATENTS].shape != like.shape or not 0 < done <= self.steps:
            return None
        return done, state

    def drop(self) -> None:
        """Delete the saved state."""
        drop_run(self.key)
