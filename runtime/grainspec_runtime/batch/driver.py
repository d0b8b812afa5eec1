"""Run a batch on Ray: start what can start, wait for what ends, and decide what follows.

Each job passes four stages. *Prepare* and *save* are tasks on CPUs; *share* (the inversions that
jobs of a clip have in common, made once) and *sample* are calls to workers, which keep a model
loaded. Units of the same session share one after the other, so none makes an inversion twice.

Limits keep what waits between two stages bounded (back-pressure): units that are prepared and not
sampled, and results that are sampled and not saved. A job whose worker dies, or whose failure may
pass, is tried again by itself; after ``retries`` it is set aside, as one whose failure is certain
is at once. The driver holds no frames: results go from worker to task through the object store.

Nothing is waited for without end: a worker that does not start in time is ended and another one
started, and a batch whose cluster ended, or in which no worker starts, ends with an error.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray

from grainspec.diagnostics import GrainError, fail
from grainspec_runtime.batch import cluster
from grainspec_runtime.batch.failures import Failure
from grainspec_runtime.batch.jobs import BatchJob
from grainspec_runtime.batch.rows import row_of_failure, seconds_of
from grainspec_runtime.batch.task import Call, Task
from grainspec_runtime.batch.units import Unit
from grainspec_runtime.batch.work import Place, Prepared, Shared, Work
from grainspec_runtime.batch.workers import WorkerProcess, Workers, room_of_cluster

_DEPTH = 2
"""Calls that a worker has at most: the one that it works on, and the next."""
_TICK = 0.5
"""Seconds after which the driver looks up although nothing has ended."""
_LOOK = 5.0
"""Seconds between two looks at whether the cluster lives."""


@dataclass(frozen=True)
class Limits:
    """How much of a cluster a batch uses.

    workers: at most so many; None for what the cluster has. on_a_gpu: workers that share a GPU at
    most. retries: further attempts of a job, and of starting a worker. on_cpus: use no GPUs.
    start_seconds: for a worker to start, before it loads its model; on a cluster that others use,
    it may first have to wait for a GPU.
    """

    workers: int | None = None
    on_a_gpu: int | None = None
    retries: int = 2
    on_cpus: bool = False
    start_seconds: float = 900.0


class Driver:
    """Runs the units of a batch; ``ended`` receives the row of each job that ends."""

    def __init__(
        self,
        work: Work,
        units: Iterator[Unit],
        ended: Callable[[Mapping[str, Any]], None],
        *,
        limits: Limits | None = None,
        tick: Callable[[Driver], None] = lambda driver: None,
    ) -> None:
        self.limits = limits or Limits()
        self.counts: Counter[str] = Counter()
        """Jobs by stage: preparing, waiting, inverting, sampling, saving, done, set aside."""
        self.inversions = 0
        self._work, self._units = ray.put(work), units
        self._all_begun = False
        self._ended, self._tick = ended, tick
        self._pending: dict[Any, Callable[[Any], None]] = {}
        self._to_share: deque[list[Task]] = deque()
        self._sharing: Counter[str] = Counter()
        self._to_sample: deque[Task] = deque()
        gpus, room, cpus = room_of_cluster(on_cpus=self.limits.on_cpus, workers=self.limits.workers)
        self.workers = Workers(self._work, gpus, room)
        if self.limits.on_a_gpu:
            self.workers.most_on_a_gpu = self.limits.on_a_gpu
        if gpus:
            self.workers.gpu_bytes = self._gpu_bytes()
        self._side = max(2, cpus)
        self._late = 0  # workers that did not start in time, since one did
        self._looked = time.monotonic()

    def run(self) -> None:
        """Run all units; on an exception, such as KeyboardInterrupt, everything is stopped.

        Raises GrainError: G743 if no worker starts in time, G744 if the cluster ends.
        """
        try:
            while True:
                self._start()
                self._tick(self)
                if not self._pending:
                    break
                self._wait()
                self._look()
        except ray.exceptions.RaySystemError as error:
            raise cluster.lost(str(error)) from error
        finally:
            self._stop()

    def _look(self) -> None:
        """End workers that do not start, and the batch if the cluster has ended."""
        now = time.monotonic()
        for worker in list(self.workers.living):
            if worker.place is None and now - worker.begun > self.limits.start_seconds:
                self._is_late(worker)
        if now - self._looked > _LOOK:
            cluster.check_alive()
            self._looked = time.monotonic()

    def _is_late(self, worker: WorkerProcess) -> None:
        self._pending.pop(worker.started, None)
        self.workers.stop(worker)
        self._late += 1
        if self._late > self.limits.retries:
            raise _no_worker(f"{self._late} workers in a row", self.limits.start_seconds)

    def _gpu_bytes(self) -> int:
        try:
            ref = cluster.gpu_total.remote(self._work)
            found: int = ray.get(ref, timeout=self.limits.start_seconds)
        except ray.exceptions.GetTimeoutError as error:
            raise _no_worker("a process with a GPU", self.limits.start_seconds) from error
        except ray.exceptions.RayError as error:
            raise cluster.lost(str(error)) from error
        return found

    def _stop(self) -> None:
        """End what still runs: tasks remove what they have written in part."""
        self.workers.stop_all()
        for ref in self._pending:
            with contextlib.suppress(ray.exceptions.RayError, TypeError, ValueError):
                ray.cancel(ref, force=False, recursive=False)
        self._pending.clear()

    def _wait(self) -> None:
        ready, _ = ray.wait(list(self._pending), num_returns=1, timeout=_TICK)
        if ready:  # and all others that are ready by now
            waiting = list(self._pending)
            ready, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0)
        for ref in ready:
            handle = self._pending.pop(ref, None)  # None: its worker was found dead
            if handle is not None:
                handle(ref)

    # Starting

    def _start(self) -> None:
        while self._may_prepare() and self._prepare_next():
            pass
        self._start_workers()
        for worker in sorted(self.workers.living, key=lambda worker: len(worker.calls)):
            while worker.place and self._call_next(worker):
                pass

    def _may_prepare(self) -> bool:
        ahead = self.counts["preparing"] + self.counts["waiting"]
        units = len({task.session for task in self._to_sample}) + len(self._to_share)
        few = ahead < 16 * self._side or not ahead
        return not self._all_begun and few and units <= 2 * self._side

    def _prepare_next(self) -> bool:
        unit = next(self._units, None)
        if unit is None:
            self._all_begun = True
            return False
        self._prepare(unit, [])
        return True

    def _prepare(self, unit: Unit, reasons: list[str]) -> None:
        task = cluster.prepare.options(num_cpus=cluster.SIDE_CPUS, num_returns=2)
        report, prepared = task.remote(self._work, unit.jobs)
        self.counts["preparing"] += len(unit.jobs)
        self._pending[report] = partial(self._prepared, unit, prepared, reasons)

    def _start_workers(self) -> None:
        """Start workers for models that have more to do than workers."""
        wanted: dict[str, list[Task]] = {}
        for tasks in [*self._to_share, *([task] for task in self._to_sample)]:
            wanted.setdefault(tasks[0].model.key, []).append(tasks[0])
        for key, tasks in wanted.items():
            same = [worker for worker in self.workers.living if worker.model == key]
            free = sum(not worker.calls for worker in same)
            for _ in range(len(tasks) - free):
                worker = self.workers.start(tasks[0].model, partial(self._is_idle, set(wanted)))
                if worker is None:
                    break
                self._pending[worker.started] = partial(self._started, worker, tasks[0])

    def _is_idle(self, wanted: set[str], worker: WorkerProcess) -> bool:
        return bool(worker.place) and not worker.calls and worker.model not in wanted

    def _call_next(self, worker: WorkerProcess) -> bool:
        """Give a worker its next call, if there is one for it; return whether there was."""
        calls = worker.calls
        if len(calls) >= _DEPTH or any(call.is_suspect for call in calls):
            return False
        alone = bool(calls)
        tasks = self._take_sample(worker, alone, near=True)
        kind = "sample"
        if not tasks:
            tasks, kind = self._take_share(worker, alone), "share"
        if not tasks:
            tasks, kind = self._take_sample(worker, alone, near=False), "sample"
        if not tasks:
            return False
        call = Call("share" if kind == "share" else "sample", tasks)
        first = tasks[0]
        self.counts["waiting"] -= len(tasks)
        if call.kind == "share":
            self._sharing[first.session] += 1
            jobs = {task.index: task.job for task in tasks}
            carry = not self.workers.share_caches
            method = worker.actor.share.options(num_returns=2)
            call.report, call.result = method.remote(first.prepared, jobs, carry)
            self.counts["inverting"] += len(tasks)
        else:
            method = worker.actor.sample.options(num_returns=2)
            carried = {} if first.carried is None else first.carried
            call.report, call.result = method.remote(
                first.prepared, first.index, first.job, carried
            )
            self.counts["sampling"] += 1
        worker.calls.append(call)
        worker.session = first.session
        self._pending[call.report] = partial(self._answered, worker, call)
        return True

    def _take_share(self, worker: WorkerProcess, alone: bool) -> list[Task]:
        for position, tasks in enumerate(self._to_share):
            if tasks[0].model.key != worker.model or self._sharing[tasks[0].session]:
                continue
            if alone and any(task.is_suspect for task in tasks):
                continue
            del self._to_share[position]
            return tasks
        return []

    def _take_sample(self, worker: WorkerProcess, alone: bool, *, near: bool) -> list[Task]:
        if self.counts["sampling"] + self.counts["saving"] >= 2 * (
            self._side + len(self.workers.living)
        ):
            return []
        for position, task in enumerate(self._to_sample):
            fits = task.model.key == worker.model and not (alone and task.is_suspect)
            if fits and (not near or task.session == worker.session):
                del self._to_sample[position]
                return [task]
        return []

    # What has ended

    def _prepared(self, unit: Unit, prepared: Any, reasons: list[str], ref: Any) -> None:
        self.counts["preparing"] -= len(unit.jobs)
        try:
            report: Prepared = ray.get(ref)
        except ray.exceptions.RayError as error:
            self._again_by_itself(unit, [*reasons, _reason("prepare", error)])
            return
        tasks = []
        for index, (job, failure) in enumerate(zip(unit.jobs, report.failures, strict=True)):
            if failure is not None:
                self._failed_to_prepare(unit, job, failure, reasons)
                continue
            assert report.model is not None
            seconds = {"seconds_prepare": round(report.seconds / len(unit.jobs), 3)}
            task = Task(job, unit.session, report.model, prepared, index, seconds=seconds)
            task.reasons.extend(reasons)
            tasks.append(task)
        self.counts["waiting"] += len(tasks)
        if tasks:
            self._to_share.append(tasks)

    def _failed_to_prepare(
        self, unit: Unit, job: BatchJob, failure: Failure, reasons: list[str]
    ) -> None:
        reasons = [*reasons, failure.reason]
        if failure.may_pass and len(reasons) <= self.limits.retries:
            self._prepare(Unit((job,), unit.session), reasons)
        else:
            self._set_aside(job, failure, reasons)

    def _again_by_itself(self, unit: Unit, reasons: list[str]) -> None:
        for job in unit.jobs:
            if len(reasons) <= self.limits.retries:
                self._prepare(Unit((job,), unit.session), reasons)
            else:
                self._set_aside(job, _died(reasons), reasons)

    def _started(self, worker: WorkerProcess, task: Task, ref: Any) -> None:
        try:
            place: Place = ray.get(ref)
        except ray.exceptions.RayError as error:
            self.workers.stop(worker)
            self._did_not_start(task, error)
            return
        worker.place = place
        self._late = 0

    def _did_not_start(self, task: Task, error: Exception) -> None:
        """Count a failed start as an attempt of a job that waits for such a worker."""
        reason = _reason("start a worker", error)
        waiting = [tasks for tasks in self._to_share if task in tasks]
        if task in self._to_sample:
            self._to_sample.remove(task)
            self.counts["waiting"] -= 1
            self._try_again(task, None, reason)
        for tasks in waiting:
            self._to_share.remove(tasks)
            self.counts["waiting"] -= len(tasks)
            for each in tasks:
                self._try_again(each, None, reason, shared=False)

    def _answered(self, worker: WorkerProcess, call: Call, ref: Any) -> None:
        try:
            answer = ray.get(ref)
        except ray.exceptions.RayError as error:
            self._lost(worker, error)
            return
        worker.calls.remove(call)
        self._left(call)
        self._use(call, answer)

    def _use(self, call: Call, answer: Any) -> None:
        if call.kind == "share":
            self._shared(call, answer)
        else:
            self._sampled(call, answer)

    def _left(self, call: Call) -> None:
        """Count the jobs of a call as neither inverting nor sampling any more."""
        if call.kind == "share":
            self._sharing[call.tasks[0].session] -= 1
            self.counts["inverting"] -= len(call.tasks)
        else:
            self.counts["sampling"] -= 1

    def _shared(self, call: Call, answer: Shared) -> None:
        self.inversions += answer.made
        call.tasks[0].seconds.update(seconds_of(answer.seconds))
        for task, failure in zip(call.tasks, answer.failures, strict=True):
            if failure is not None:
                self._try_again(task, failure, failure.reason, shared=False)
                continue
            task.carried = call.result if answer.keys else None
            self._to_sample.append(task)
            self.counts["waiting"] += 1

    def _sampled(self, call: Call, failure: Failure | None) -> None:
        [task] = call.tasks
        if failure is not None:
            self._try_again(task, failure, failure.reason)
            return
        self._save(task, call.result)

    def _save(self, task: Task, result: Any) -> None:
        self.counts["saving"] += 1
        method = cluster.save.options(num_cpus=cluster.SIDE_CPUS)
        ref = method.remote(self._work, task.job, result)
        self._pending[ref] = partial(self._saved, task, result)

    def _saved(self, task: Task, result: Any, ref: Any) -> None:
        self.counts["saving"] -= 1
        try:
            row = ray.get(ref)
        except ray.exceptions.WorkerCrashedError as error:  # the result is still there
            task.reasons.append(_reason("save", error))
            if len(task.reasons) <= self.limits.retries:
                self._save(task, result)
            else:
                self._set_aside(task.job, _died(task.reasons), task.reasons)
            return
        except ray.exceptions.RayError as error:
            self._try_again(task, None, _reason("save", error))
            return
        if isinstance(row, Failure):
            self._try_again(task, row, row.reason)
            return
        seconds = {**row, **{name: task.seconds[name] for name in task.seconds}}
        known = {"attempts": len(task.reasons) + 1, "reasons": list(task.reasons)}
        estimated = task.model.gpu_bytes if self.workers.gpus else None
        self.counts["done"] += 1
        self._ended({**seconds, **known, "gpu_bytes_estimated": estimated})

    # Failures

    def _lost(self, worker: WorkerProcess, error: Exception) -> None:
        """Deal with a worker that died: the call that it worked on is to blame.

        One that only cannot be reached is ended: else it would keep its GPU from the next one.
        """
        self.workers.stop(worker)
        calls, worker.calls = worker.calls, []
        blamed = False
        for call in calls:
            self._pending.pop(call.report, None)
            self._left(call)
            try:  # it may have been answered before
                self._use(call, ray.get(call.report, timeout=cluster.ANSWER_SECONDS))
                continue
            except ray.exceptions.RayError:
                pass
            sharing = call.kind == "share"
            for task in call.tasks:
                if blamed:
                    self._wait_again([task], shared=not sharing)
                else:
                    self._try_again(task, None, _reason(call.kind, error), shared=not sharing)
            blamed = True

    def _try_again(
        self, task: Task, failure: Failure | None, reason: str, *, shared: bool = True
    ) -> None:
        """Try a job again by itself, or set it aside. failure: None if its process died."""
        task.reasons.append(reason)
        certain = failure is not None and not failure.may_pass
        if certain or len(task.reasons) > self.limits.retries:
            self._set_aside(task.job, failure or _died(task.reasons), task.reasons)
        else:
            self._wait_again([task], shared=shared)

    def _wait_again(self, tasks: list[Task], *, shared: bool) -> None:
        self.counts["waiting"] += len(tasks)
        if shared:
            self._to_sample.extendleft(reversed(tasks))
        else:
            self._to_share.appendleft(tasks)

    def _set_aside(self, job: BatchJob, failure: Failure, reasons: list[str]) -> None:
        self.counts["set aside"] += 1
        self._ended(row_of_failure(job, failure, reasons))


def _died(reasons: list[str]) -> Failure:
    message = f"its process died {len(reasons)} times: {reasons[-1]}"
    cure = "Run the job by itself with `grain run`, and watch its memory."
    return Failure("G741", message, cure)


def _no_worker(who: str, seconds: float) -> GrainError:
    message = f"{who} did not start within {seconds:.0f} s each"
    cure = "Look at the load and memory of the machines, and at what else uses the cluster "
    cure += "(`ray status`); the same command then goes on from the jobs that are done."
    return fail("G743", message, cure)


def _reason(stage: str, error: Exception) -> str:
    first = (str(error) or type(error).__name__).strip().splitlines()[0]
    return f"{stage}: {type(error).__name__}: {first[:160]}"
