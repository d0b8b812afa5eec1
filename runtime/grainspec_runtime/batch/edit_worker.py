"""A worker of a batch: one model that stays loaded, and the session of the clip at hand."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from grainspec_runtime.batch.failures import Failure
from grainspec_runtime.batch.jobs import BatchJob
from grainspec_runtime.batch.places import Places
from grainspec_runtime.batch.work import Model, Place, Shared
from grainspec_runtime.cache.carry import packed, unpack
from grainspec_runtime.cache.folder import cache_folder, shared_cache
from grainspec_runtime.cache.inversions import KIND, Trajectories
from grainspec_runtime.editing.edit import edit, share
from grainspec_runtime.editing.editor import Editor
from grainspec_runtime.editing.session import ClipSession
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.prepare import Prepared

Inversions = Mapping[str, Any]
"""By key: files of the cache (:mod:`grainspec_runtime.cache.carry`), or trajectories without it."""


class Settings(Protocol):
    """What a worker needs to know of a batch."""

    @property
    def places(self) -> Places:
        """Where clips and results are."""

    @property
    def loading(self) -> LoadOptions:
        """How models are loaded."""

    @property
    def use_cache(self) -> bool:
        """Whether inversions are cached."""

    @property
    def fresh(self) -> bool:
        """Whether cached ones are not read."""

    def finished(self, job: BatchJob) -> Any:
        """Return what an edit asks whether an interrupted batch has written it already."""


class EditWorker:
    """Makes the inversions and edits of one model, one after the other."""

    def __init__(self, work: Settings, model: Model) -> None:
        from transformers.utils import logging

        logging.disable_progress_bar()
        self._work = work
        name, adapter = model.told
        self._editor = Editor(
            name,
            motion_adapter=adapter,
            loading=work.loading,
            use_cache=work.use_cache,
            fresh=work.fresh,
        )
        self._session: ClipSession | None = None
        self._reads_cache = work.use_cache and not work.fresh
        self._trajectories: Trajectories = {}
        """Of the unit at hand, if they are not read from the cache."""

    def place(self) -> Place:
        """Return where the worker runs; machines without a shared cache are told by their names."""
        host = platform.node()
        if not self._reads_cache:
            return Place(os.getpid(), host, "")
        shared = shared_cache()
        return Place(os.getpid(), host, shared or f"{host}:{cache_folder().absolute()}")

    def share(
        self,
        prepared: Sequence[Prepared | None],
        jobs: Mapping[int, BatchJob],
        *known: Inversions,
        carry: bool,
    ) -> tuple[Shared, Inversions]:
        """Make each inversion of these jobs once; equal ones are found by their keys."""
        self._receive(*known)
        failures: list[Failure | None] = []
        keys: list[str | None] = []
        made: set[str] = set()
        for index, job in jobs.items():
            try:
                self._work.places.fetched(job)
                one = _expected(prepared[index])
                key, existed = share(self._opened(one), one)
            except Exception as error:
                failures.append(Failure.of(error))
                keys.append(None)
                continue
            failures.append(None)
            keys.append(None if existed is None else key)
            made |= {key} if existed is False else set()
        shared = list(dict.fromkeys(key for key in keys if key is not None))
        seconds = self._session.stages.take_seconds() if self._session else {}
        report = Shared(tuple(failures), tuple(keys), frozenset(made), seconds)
        return report, self._inversions(shared, carry)

    def sample(
        self, prepared: Sequence[Prepared | None], index: int, job: BatchJob, carried: Inversions
    ) -> tuple[Failure | None, Any]:
        """Make an edit: its result, and facts for its row."""
        start = time.perf_counter()
        try:
            one = _expected(prepared[index])
            self._work.places.fetched(job)  # by this machine, if another prepared it
            self._receive(carried)
            _forget_peak()
            result = edit(self._opened(one), one, finished=self._work.finished(job))
        except Exception as error:
            return Failure.of(error), None
        facts = {
            "host": platform.node(),
            "seconds_edit": round(time.perf_counter() - start, 3),
            "peak_gpu_bytes": _peak(),
        }
        return None, (result, facts)

    def _receive(self, *received: Inversions) -> None:
        """Put inversions where the session looks for them: into the cache, or into memory."""
        self._trajectories.clear()
        for inversions in received:
            if self._reads_cache:
                unpack(KIND, inversions)
            else:
                self._trajectories.update(inversions)

    def _inversions(self, keys: list[str], carry: bool) -> Inversions:
        """Return inversions for other workers, if these do not find them in the cache."""
        if not self._reads_cache:
            return {key: self._trajectories[key] for key in keys}
        return packed(KIND, keys) if carry else {}

    def _opened(self, prepared: Prepared) -> ClipSession:
        """Return the session of a clip; the last one stays open for the clip's other edits."""
        if self._session is not None:
            try:
                self._session.check(prepared)
                return self._session
            except ValueError:
                self._close()
        session = self._editor.session([prepared])
        session.leave_unfinished()  # a result may still be on its way to the disk
        if not self._reads_cache:
            session.hand_on(self._trajectories)
        self._session = session.__enter__()
        return self._session

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.__exit__(None)


def _expected(prepared: Prepared | None) -> Prepared:
    if prepared is None:
        raise ValueError("a job that could not be prepared is not run")
    return prepared


def _forget_peak() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _peak() -> int | None:
    """Return the peak of the GPU memory that torch allocated in bytes; None without a GPU."""
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
