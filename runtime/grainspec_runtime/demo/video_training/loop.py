"""The training loop of a stage: AdamW, a moving average of the weights, checkpoints and a log."""

from __future__ import annotations

import copy
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from grainspec.whole_file import whole_file
from grainspec_runtime.demo.training.trainer import save_half
from grainspec_runtime.demo.video_training.run import Run

Network = TypeVar("Network", bound=nn.Module)

_TIMED = (20, 60)
"""The steps of a run between which speed is measured, if minutes are given instead of steps."""


class Stopped(Exception):
    """Raised at ``--stop-after``, when a checkpoint was written: the next run resumes there."""


@dataclass(frozen=True)
class Schedule:
    """How long a stage trains, and how fast.

    steps: number of steps; 0 for as many as fit into ``minutes``, which are counted after the first
    60 and logged. rate: the highest learning rate, reached after ``warm`` steps; from there it
    falls as a cosine to 2 % of it. decay: that of the moving average, which starts lower.
    """

    steps: int
    minutes: float
    rate: float
    warm: int = 300
    decay: float = 0.999

    def rate_at(self, step: int, steps: int) -> float:
        """The learning rate of a step of ``steps``; 0 for a number that is not known yet."""
        warm = min(self.warm, max(1, steps // 10)) if steps else self.warm
        done = min(1.0, step / steps) if steps else 0.0
        return self.rate * min(1.0, (step + 1) / warm) * (0.51 + 0.49 * math.cos(math.pi * done))

    def decay_at(self, step: int) -> float:
        """The decay of the moving average at a step."""
        return min(self.decay, (1 + step) / (10 + step))


class Loop(Generic[Network]):
    """Trains ``network`` in place; ``average`` is a copy of it with the averaged weights.

    A step's random numbers depend only on the seed and its number, so that an interrupted run
    continues as if it had not been interrupted.
    """

    def __init__(self, run: Run, stage: str, network: Network, schedule: Schedule) -> None:
        self.run, self.stage, self.network, self.schedule = run, stage, network, schedule
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        self._adam = torch.optim.AdamW(
            self._parameters,
            lr=schedule.rate,
            betas=(0.9, 0.99),
            weight_decay=0.01,
            fused=run.device.type == "cuda",
        )
        self.step, self.steps = 0, schedule.steps
        self._checkpoint = run.work / f"{stage.replace(' ', '-')}-checkpoint.pt"
        self._resume()

    def __iter__(self) -> Iterator[int]:
        """The numbers of the remaining steps, each to be ended by :meth:`descend`."""
        self._began = self._saved = self._exported = self._paced = time.time()
        self._first, self._losses = self.step, list[Tensor]()
        while not self.steps or self.step < self.steps:
            torch.manual_seed(self.run.seed(self.step))
            yield self.step
            self.step += 1
            self._plan_steps()
            self._keep()

    def descend(self, loss: Tensor) -> None:
        """Take one optimizer step, with the gradient norm clipped to 1."""
        self._adam.zero_grad(set_to_none=True)
        loss.backward()
        self.run.average_gradients(self._parameters)
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        for group in self._adam.param_groups:
            group["lr"] = self.schedule.rate_at(self.step, self.steps)
        self._adam.step()
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.average.parameters()),
                list(self.network.parameters()),
                1 - self.schedule.decay_at(self.step),
            )
        self._losses.append(loss.detach())

    @property
    def is_due(self) -> bool:
        """Whether this step is one to measure and :meth:`log` after, in the first process."""
        every = self.run.options.log_every
        return self.run.is_first and ((self.step + 1) % every == 0 or self.step + 1 == self.steps)

    def log(self, **measured: float) -> None:
        """Log the mean loss since the last log, steps per second, and what was measured.

        The time from :meth:`pause` on does not count.
        """
        mean = torch.stack(self._losses).mean().item()
        pace = len(self._losses) / (self._pause - self._paced)
        step, steps = self.step + 1, self.steps
        self.run.log(self.stage, step=step, of=steps, loss=mean, steps_per_second=pace, **measured)
        self._paced, self._losses = time.time(), []

    def pause(self) -> None:
        """Stop the clock of steps per second, before measuring."""
        self.run.synchronize()
        self._pause = time.time()

    def finish(self) -> None:
        """Take over the averaged weights."""
        self.network.load_state_dict(self.average.state_dict())

    def _plan_steps(self) -> None:
        """Decide on the number of steps, if minutes were given."""
        if self.steps:
            return
        done = self.step - self._first
        if done == _TIMED[0]:
            self.run.synchronize()
            self._timed = time.time()
        elif done == _TIMED[1]:
            self.run.synchronize()
            now = time.time()
            seconds = (now - self._timed) / (_TIMED[1] - _TIMED[0])
            left = 0.96 * (60 * self.schedule.minutes - (now - self._began))
            self.steps = int(self.run.agreed(self.step + max(1, left // seconds)))
            self.run.log(self.stage, steps=self.steps, seconds_per_step=seconds)

    def _keep(self) -> None:
        """Write checkpoints and exports when they are due; raise Stopped when it is time."""
        o, now = self.run.options, time.time()
        if self.run.is_first and now - self._saved > o.save_every:
            self._save()
        if self.run.is_first and o.export and now - self._exported > o.export_every:
            self.export()
        asks = o.stop_after < math.inf and self.step != self.steps and self.step % 10 == 0
        if asks and self.run.agreed(now - self.run.started) > o.stop_after:
            if self.run.is_first:
                self._save()
            self.run.wait()
            raise Stopped(self.stage)

    def export(self) -> None:
        """Write the averaged weights, float16, and the log to the folder ``--export``."""
        folder = Path(self.run.options.export)
        folder.mkdir(parents=True, exist_ok=True)
        save_half(self.average, folder / f"{self.stage.replace(' ', '-')}.safetensors")
        shutil.copy(self.run.work / "log.jsonl", folder)
        self._exported = time.time()

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "adam": self._adam.state_dict(),
            "step": self.step,
            "steps": self.steps,
        }
        with whole_file(self._checkpoint) as partial:
            torch.save(state, partial)
        self._saved = time.time()
        self.run.log(self.stage, saved_at=self.step)

    def _resume(self) -> None:
        if not self._checkpoint.exists():
            return
        state = torch.load(self._checkpoint, map_location=self.run.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._adam.load_state_dict(state["adam"])
        self.step, self.steps = state["step"], state["steps"]
        self.run.log(self.stage, resumed_at=self.step)
