"""Run a batch on Ray: start what can start, wait for what ends, and decide what follows.

Each job passes four stages. *Prepare* and *save* are tasks on CPUs; *share* (the inversions that
jobs of a clip have in common, made once) and *sample* are calls to workers, which keep a model
loaded. Units of the same session share one after the other, so none makes an inversion twice.

Limits keep what waits between two stages bounded (back-pressure): units that are prepared and not
sampled, and results that are sampled and not saved. A job whose worker dies, or whose failure may
pass, is tried again by itself; after ``retries`` it is set aside, as one whose failure is certain
is at once. The driver holds no frames: results go from worker to task through the object store.

A worker that does not start in time is ended and another one started, and a batch whose cluster
ended, or in which no worker starts, ends with an error. A stage may take as long as it likes, since
nothing says how long is too long, unless the batch has a limit: then what exceeds it is ended as
if its process had died. :meth:`Driver.longest` tells what takes long. Machines may join and leave
the cluster: what a lost one had in memory is made again.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import ray

from grainspec_runtime.batch import cluster
from grainspec_runtime.batch.endings import failure_of_end, reason_of_end
from grainspec_runtime.batch.failures import Failure
from grainspec_runtime.batch.jobs import BatchJob
from grainspec_runtime.batch.limits import Limits
from grainspec_runtime.batch.rows import row_of_failure, seconds_of
from grainspec_runtime.batch.task import Call, Pending, Task
from grainspec_runtime.batch.units import Unit
from grainspec_runtime.batch.waiting import Waiting
from grainspec_runtime.batch.watch import Longest, Watch
from grainspec_runtime.batch.work import Model, Place, Prepared, Shared, Work
from grainspec_runtime.batch.workers import WorkerProcess, Workers

_DEPTH = 2
"""Calls that a worker has at most: the one that it works on, and the next."""
_TICK = 0.5
"""Seconds after which the driver looks up although nothing has ended."""
_UNFINISHED = ("preparing", "waiting", "inverting", "sampling", "saving")
_LAST = 10.0
"""Seconds that results on their way to the disk have when the batch is interrupted."""
_UNPLACED = 30.0
"""Seconds after which a worker that has not started may need what idle ones have."""


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
        self.inversions, self._made = 0, set[str]()  # how many were made, and their keys
        self._work, self._units = ray.put(work), units
        self._all_begun = False
        self._ended, self._tick = ended, tick
        self._pending: dict[Any, Pending] = {}
        self._waiting = Waiting()
        self.workers = Workers.of_cluster(self._work, self.limits)
        self._watch = Watch(self.limits, self.workers, self._pending, self._lost)

    def run(self) -> None:
        """Run all units; on an exception, such as KeyboardInterrupt, everything is stopped.

        Raises GrainError: G743 if no worker starts in time, G744 if the cluster ends.
        """
        try:
            while True:
                self._start()
                self._tick(self)
                if self._all_begun and not any(self.counts[stage] for stage in _UNFINISHED):
                    break  # although a worker may still be starting
                self._wait()
                self._watch.look()
        except ray.exceptions.RaySystemError as error:
            raise cluster.lost(str(error)) from error
        except KeyboardInterrupt:
            self._finish_saving()
            raise
        finally:
            self._stop()

    def longest(self) -> Longest | None:
        """Return what has been at work for the longest time."""
        return self._watch.longest()

    def _finish_saving(self) -> None:
        """Wait some seconds for results on their way to the disk, since they have been made."""
        self.workers.stop_all()
        saving = [ref for ref, pending in self._pending.items() if pending.stage == "saving"]
        ready, _ = ray.wait(saving, num_returns=len(saving), timeout=_LAST) if saving else ([], [])
        for ref in ready:
            pending = self._pending.pop(ref)
            with contextlib.suppress(ray.exceptions.RayError):
                if not isinstance(ray.get(ref), Failure):
                    pending.handle(partial(self._value, ref, None))

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
            pending = self._pending.pop(ref, None)  # None: its worker was found dead
            if pending is not None:
                pending.handle(partial(self._value, ref, pending.overdue))

    @staticmethod
    def _value(ref: Any, overdue: Exception | None) -> Any:
        """Return what a task or call has returned; raises RayError if it did not."""
        try:
            return ray.get(ref)
        except ray.exceptions.RayError as error:
            raise (overdue or error) from error

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
        few = ahead < 16 * self._side or not ahead
        return not self._all_begun and few and self._waiting.units <= 2 * self._side

    @property
    def _side(self) -> int:
        return max(2, self.workers.cpus)

    def _prepare_next(self) -> bool:
        unit = next(self._units, None)
        if unit is None:
            self._all_begun = True
            return False
        self._prepare(unit, [])
        return True

    def _prepare(self, unit: Unit, reasons: list[str]) -> None:
        task = cluster.prepare.options(num_cpus=cluster.SIDE_CPUS, num_returns=2)
        report, prepared = task.remote(self._work, unit.jobs, bool(self.limits.stage_seconds))
        self.counts["preparing"] += len(unit.jobs)
        handle = partial(self._prepared, unit, prepared, reasons)
        self._pending[report] = Pending(handle, "preparing", unit.jobs[0].name)

    def _start_workers(self) -> None:
        """Start workers for models that have more to do than workers."""
        wanted: dict[tuple[str, float], list[Task]] = {}
        for task in self._waiting.firsts():
            key = task.model.key, self.workers.share_of(task.model)
            wanted.setdefault(key, []).append(task)
        models = [tasks[0].model for tasks in wanted.values()]
        idle = partial(self._is_idle, models)
        for model, tasks in zip(models, wanted.values(), strict=True):
            same = [one for one in self.workers.living if self.workers.suits(one, model)]
            for _ in range(len(tasks) - sum(not worker.calls for worker in same)):
                worker = self.workers.start(model, idle)
                if worker is None:
                    break
                self._pending[worker.started] = Pending(partial(self._started, worker, tasks[0]))
        self._stop_idle(idle)

    def _stop_idle(self, idle: Callable[[WorkerProcess], bool]) -> None:
        """End idle workers if others wait, or if they are too many for the machines that are left.

        Others may wait although there is room in total, because no machine has it. Workers may be
        too many because those of a machine that left were started anew before that was known: they
        have the CPUs that saving waits for.
        """
        now = time.monotonic()
        at_rest = [one for one in self.workers.living if one.place and not one.calls]
        for worker in at_rest[: self.workers.surplus]:
            self.workers.stop(worker)
        living = self.workers.living
        if any(one.place is None and now - one.begun > _UNPLACED for one in living):
            for worker in [one for one in living if idle(one)]:
                self.workers.stop(worker)

    def _is_idle(self, wanted: list[Model], worker: WorkerProcess) -> bool:
        suited = any(self.workers.suits(worker, model) for model in wanted)
        return bool(worker.place) and not worker.calls and not suited

    def _call_next(self, worker: WorkerProcess) -> bool:
        """Give a worker its next call, if there is one for it; return whether there was."""
        calls = worker.calls
        if len(calls) >= _DEPTH or any(call.is_suspect for call in calls):
            return False
        alone = bool(calls)
        tasks, kind = self._take_sample(worker, alone, near=True), "sample"
        if not tasks:
            tasks, kind = self._take_share(worker, alone), "share"
        if not tasks:
            tasks, kind = self._take_sample(worker, alone, near=False), "sample"
        if not tasks:
            return False
        call = Call("share" if kind == "share" else "sample", tasks)
        first = tasks[0]
        self.counts["waiting"] -= len(tasks)
        method = getattr(worker.actor, call.kind).options(num_returns=2)
        if call.kind == "share":
            self._waiting.sharing[first.session] += 1
            jobs = {task.index: task.job for task in tasks}
            call.carries = not self.workers.share_caches
            known = self._waiting.carried.get(first.session, ())
            call.report, call.result = method.remote(first.prepared, jobs, call.carries, *known)
            self.counts["inverting"] += len(tasks)
        else:
            about = first.prepared, first.index, first.job
            call.report, call.result = method.remote(*about, first.carried or {})
            self.counts["sampling"] += 1
        worker.calls.append(call)
        worker.session = first.session
        self._pending[call.report] = Pending(partial(self._answered, worker, call))
        return True

    def _take_share(self, worker: WorkerProcess, alone: bool) -> list[Task]:
        return self._waiting.take_share(partial(self._fits, worker, alone))

    def _take_sample(self, worker: WorkerProcess, alone: bool, *, near: bool) -> list[Task]:
        if self.counts["sampling"] + self.counts["saving"] >= 2 * (
            self._side + len(self.workers.living)
        ):
            return []

        def fits(task: Task) -> bool:
            return (
                (not near or task.session == worker.session)
                and self._fits(worker, alone, task)
                and self.workers.reaches(worker, task)
            )

        return self._waiting.take_sample(fits)

    def _fits(self, worker: WorkerProcess, alone: bool, task: Task) -> bool:
        return self.workers.suits(worker, task.model) and not (alone and task.is_suspect)

    # What has ended

    def _prepared(
        self, unit: Unit, prepared: Any, reasons: list[str], value: Callable[[], Prepared]
    ) -> None:
        self.counts["preparing"] -= len(unit.jobs)
        try:
            report = value()
        except ray.exceptions.RayError as error:
            self._prepare_again(unit, error, [*reasons, reason_of_end("prepare", error)])
            return
        tasks = []
        for index, (job, failure) in enumerate(zip(unit.jobs, report.failures, strict=True)):
            if failure is not None:
                self._failed_to_prepare(unit, job, failure, reasons)
                continue
            assert report.model is not None
            known = {"seconds_prepare": round(report.seconds / len(unit.jobs), 3)}
            task = Task(job, unit.session, report.model, prepared, index, known=known)
            task.reasons.extend(reasons)
            tasks.append(task)
        self.counts["waiting"] += len(tasks)
        if tasks:
            self._waiting.to_share.append(tasks)

    def _failed_to_prepare(
        self, unit: Unit, job: BatchJob, failure: Failure, reasons: list[str]
    ) -> None:
        reasons = [*reasons, failure.reason]
        if failure.may_pass and len(reasons) <= self.limits.retries:
            self._prepare(Unit((job,), unit.session), reasons)
        else:
            self._set_aside(job, failure, reasons)

    def _prepare_again(self, unit: Unit, error: Exception, reasons: list[str]) -> None:
        for job in unit.jobs:  # each by itself
            if len(reasons) <= self.limits.retries:
                self._prepare(Unit((job,), unit.session), reasons)
            else:
                self._set_aside(job, failure_of_end(error, reasons), reasons)

    def _started(self, worker: WorkerProcess, task: Task, value: Callable[[], Place]) -> None:
        try:
            place = value()
        except ray.exceptions.RayError as error:
            self.workers.stop(worker)
            self._did_not_start(task, error)
            return
        worker.place = place
        self._watch.late = 0

    def _did_not_start(self, task: Task, error: Exception) -> None:
        """Count a failed start as an attempt of a job that waits for such a worker."""
        tasks, shared = self._waiting.take(task)
        self.counts["waiting"] -= len(tasks)
        for each in tasks:
            self._try_again_after(each, "start a worker", error, shared=shared)

    def _answered(self, worker: WorkerProcess, call: Call, value: Callable[[], Any]) -> None:
        try:
            answer = value()
        except ray.exceptions.ObjectLostError as error:  # its arguments; the worker lives
            worker.answered(call)
            self._left(call)
            self._waiting.carried.pop(call.tasks[0].session, None)
            for task in call.tasks:
                reasons = [*task.reasons, reason_of_end(call.stage, error)]
                self._prepare_again(Unit((task.job,), task.session), error, reasons)
        except ray.exceptions.RayError as error:
            self._lost(worker, error)
        else:
            worker.answered(call)
            self._left(call)
            self._use(worker, call, answer)

    def _use(self, worker: WorkerProcess, call: Call, answer: Any) -> None:
        if call.kind == "share":
            self._shared(worker, call, answer)
        else:
            self._sampled(call, answer)

    def _left(self, call: Call) -> None:
        """Count the jobs of a call as neither inverting nor sampling any more."""
        if call.kind == "share":
            self._waiting.sharing[call.tasks[0].session] -= 1
            self.counts["inverting"] -= len(call.tasks)
        else:
            self.counts["sampling"] -= 1

    def _shared(self, worker: WorkerProcess, call: Call, answer: Shared) -> None:
        self.inversions += len(answer.made)
        self._made |= answer.made
        self._waiting.carry(call)
        call.tasks[0].known.update(seconds_of(answer.seconds))
        for task, failure, key in zip(call.tasks, answer.failures, answer.keys, strict=True):
            if failure is not None:
                self._try_again(task, failure, shared=False)
                continue
            task.known |= {"inversion_cached": key not in self._made} if key else {}
            if any(answer.keys) and worker.place:
                task.cache = worker.place.cache
                task.carried = call.result if call.carries else None
            self._waiting.to_sample.append(task)
            self.counts["waiting"] += 1

    def _sampled(self, call: Call, failure: Failure | None) -> None:
        [task] = call.tasks
        if failure is not None:
            self._try_again(task, failure)
            return
        self._save(task, call.result)

    def _save(self, task: Task, result: Any) -> None:
        self.counts["saving"] += 1
        method = cluster.save.options(num_cpus=cluster.SIDE_CPUS)
        known = {**task.known, "attempts": len(task.reasons) + 1, "reasons": list(task.reasons)}
        known |= {"gpu_bytes_estimated": task.model.gpu_bytes} if self.workers.gpus else {}
        ref = method.remote(self._work, task.job, result, known, bool(self.limits.stage_seconds))
        self._pending[ref] = Pending(partial(self._saved, task, result), "saving", task.job.name)

    def _saved(self, task: Task, result: Any, value: Callable[[], Any]) -> None:
        self.counts["saving"] -= 1
        try:
            row = value()
        except ray.exceptions.ObjectLostError as error:
            self._try_again_after(task, "save", error)
            return
        except ray.exceptions.RayError as error:  # the result is still there
            task.reasons.append(reason_of_end("save", error))
            if len(task.reasons) <= self.limits.retries:
                self._save(task, result)
            else:
                self._set_aside(task.job, failure_of_end(error, task.reasons), task.reasons)
            return
        if isinstance(row, Failure):
            self._try_again(task, row)
            return
        self.counts["done"] += 1
        self._ended(row)

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
                self._use(worker, call, ray.get(call.report, timeout=cluster.ANSWER_SECONDS))
                continue
            except ray.exceptions.RayError:
                pass
            shared = call.kind == "sample"
            for task in call.tasks:
                if blamed:
                    self._wait_again(task, shared=shared)
                else:
                    self._try_again_after(task, call.stage, error, shared=shared)
            blamed = True

    def _try_again(self, task: Task, failure: Failure, *, shared: bool = True) -> None:
        """Try a job that failed again by itself, or set it aside."""
        task.reasons.append(failure.reason)
        if failure.may_pass and len(task.reasons) <= self.limits.retries:
            self._wait_again(task, shared=shared)
        else:
            self._set_aside(task.job, failure, task.reasons)

    def _try_again_after(
        self, task: Task, stage: str, error: Exception, *, shared: bool = True
    ) -> None:
        """Try a job whose process ended again by itself, or set it aside."""
        task.reasons.append(reason_of_end(stage, error))
        if len(task.reasons) <= self.limits.retries:
            self._wait_again(task, shared=shared)
        else:
            self._set_aside(task.job, failure_of_end(error, task.reasons), task.reasons)

    def _wait_again(self, task: Task, *, shared: bool) -> None:
        self.counts["waiting"] += 1
        self._waiting.again([task], shared=shared)

    def _set_aside(self, job: BatchJob, failure: Failure, reasons: list[str]) -> None:
        self.counts["set aside"] += 1
        self._ended(row_of_failure(job, failure, reasons))
