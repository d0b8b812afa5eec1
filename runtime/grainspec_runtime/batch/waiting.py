"""Prepared jobs that wait for a worker: first for their inversions, then to be sampled."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from grainspec_runtime.batch.task import Call, Task

Fits = Callable[[Task], bool]
"""Whether a worker can run a job."""
_SESSIONS = 32
"""Of so many sessions inversions are kept: units of a session follow each other."""


@dataclass(eq=False)
class Waiting:
    """What waits. sharing: sessions whose inversions are being made; the others of them wait.

    carried: the objects with inversions of the sessions that made some last, for their other units.
    """

    to_share: deque[list[Task]] = field(default_factory=deque)
    to_sample: deque[Task] = field(default_factory=deque)
    sharing: Counter[str] = field(default_factory=Counter)
    carried: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def units(self) -> int:
        """The number of units that are prepared and not sampled."""
        return len({task.session for task in self.to_sample}) + len(self.to_share)

    def firsts(self) -> Iterator[Task]:
        """Iterate over a job of each call that a worker could begin."""
        yield from (tasks[0] for tasks in self.to_share)
        yield from self.to_sample

    def again(self, tasks: list[Task], *, shared: bool) -> None:
        """Put jobs before all others; ``shared`` if their inversions exist."""
        if shared:
            self.to_sample.extendleft(reversed(tasks))
        else:
            self.to_share.appendleft(tasks)

    def carry(self, call: Call) -> None:
        """Keep the inversions that a call carries for its session's other units, which are next."""
        if call.carries:
            session = call.tasks[0].session
            self.carried[session] = [*self.carried.pop(session, ()), call.result]
            for oldest in list(self.carried)[:-_SESSIONS]:
                del self.carried[oldest]

    def take_share(self, fits: Fits) -> list[Task]:
        """Take the jobs of a unit that needs inversions; none if there is no such unit."""
        for position, tasks in enumerate(self.to_share):
            if not self.sharing[tasks[0].session] and all(map(fits, tasks)):
                del self.to_share[position]
                return tasks
        return []

    def take_sample(self, fits: Fits) -> list[Task]:
        """Take a job to sample; none if there is none that fits."""
        for position, task in enumerate(self.to_sample):
            if fits(task):
                del self.to_sample[position]
                return [task]
        return []

    def take(self, task: Task) -> tuple[list[Task], bool]:
        """Take a job that still waits, with those that wait with it; whether they were shared."""
        if task in self.to_sample:
            self.to_sample.remove(task)
            return [task], True
        for tasks in self.to_share:
            if task in tasks:
                self.to_share.remove(tasks)
                return tasks, False
        return [], True
