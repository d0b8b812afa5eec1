"""The stages of a batch of edits: prepare, save and measure. Sampling is in ``edit_worker``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

from grainspec_runtime import prepare as compiled
from grainspec_runtime.batch.failures import Failure
from grainspec_runtime.batch.jobs import BatchJob
from grainspec_runtime.batch.places import Places
from grainspec_runtime.batch.rows import OF_BATCH, measures_of, row_of
from grainspec_runtime.batch.work import Model, Prepared, Row, Worker
from grainspec_runtime.batch.written_runs import LocalRuns, write_known
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.prepare import prepare, prepare_variants
from grainspec_runtime.tracking.bake import TrackOptions
from grainspec_runtime.tracking.choices import EngineChoice


@dataclass(frozen=True)
class EditWork:
    """Edits by `grain run`'s own stages.

    places: where clips are fetched to and results are written. loading: how models are loaded.
    """

    places: Places
    loading: LoadOptions
    use_cache: bool = True
    fresh: bool = False
    measure: bool = False

    def prepare(self, jobs: Sequence[BatchJob]) -> tuple[Prepared, list[compiled.Prepared | None]]:
        """Check and compile jobs; their regions are tracked if they have no current masks."""
        start = time.perf_counter()
        done: list[compiled.Prepared | None] = []
        failures: list[Failure | None] = []
        for _, same in groupby(jobs, key=lambda job: (job.spec, job.base, job.clip, job.sets)):
            for outcome in self._prepared(list(same)):
                if isinstance(outcome, Failure):
                    done.append(None)
                    failures.append(outcome)
                else:
                    done.append(outcome)
                    failures.append(None)
        first = next((one for one in done if one is not None), None)
        model = None if first is None else self._model(first, done)
        return Prepared(tuple(failures), model, time.perf_counter() - start), done

    def _prepared(self, jobs: list[BatchJob]) -> list[compiled.Prepared | Failure]:
        """Prepare jobs that differ in their variant only: all at once, or else one by one."""
        try:
            job = self.places.fetched(jobs[0])
            device = self.loading.device
            tracking = TrackOptions(EngineChoice(device=None if device is None else str(device)))
            added: Any = {
                "sets": job.sets,
                "loras": self.loading.loras,
                "embeddings": self.loading.embeddings,
                "tracking": tracking,
            }
            if job.variant is None:
                return [prepare(job.whole, Path(job.base), **added)] * len(jobs)
            names = [str(each.variant) for each in jobs]
            return list(prepare_variants(job.whole, names, Path(job.base), **added))
        except Exception as error:
            if len(jobs) == 1:
                return [Failure.of(error)]
            return [outcome for job in jobs for outcome in self._prepared([job])]

    def _model(self, first: compiled.Prepared, done: Sequence[compiled.Prepared | None]) -> Model:
        from grainspec_runtime.memory.estimate import gpu_bytes

        name, adapter = first.spec.model, first.spec.motion_adapter
        place = first.base / name
        key = str(place.resolve()) if place.exists() else name
        needed = max(gpu_bytes(one, self.loading) for one in done if one is not None)
        return Model(f"{key} {adapter}".rstrip(), (name, adapter), needed)

    def worker(self, model: Model) -> Worker:
        """Return a worker with an editor for the model."""
        from grainspec_runtime.batch.edit_worker import EditWorker

        return EditWorker(self, model)

    def save(self, job: BatchJob, result: Any, known: Row) -> Row | Failure:
        """Write a run's folder, measure it if asked to, and delete its saved state.

        What only the batch knows of the row is written beside the run, for a batch that is killed.
        """
        from grainspec_runtime.batch.measured import measure
        from grainspec_runtime.editing.resume import drop_run
        from grainspec_runtime.runs.read import read_manifest, read_run
        from grainspec_runtime.runs.write import save_run

        start = time.perf_counter()
        edited, facts = result
        versions = {f"version_{name}": version(name) for name in OF_BATCH}
        known = {**facts, **versions, **known}
        try:
            with self.places.result(job.name) as folder:
                if not edited.was_finished:
                    edited = save_run(
                        edited,
                        folder,
                        spec_text=job.content.text,
                        spec_name=job.file,
                        arguments=job.arguments,
                    )
                if self.measure:
                    measure(read_run(folder))
                measured = LocalRuns(folder.parent).measures(folder.name)
                row = row_of(job, read_manifest(folder), measured or ())
                write_known(folder, job.digest, known)
            drop_run(edited.run_key)
        except Exception as error:
            return Failure.of(error)
        return {**row, **known, "seconds_save": round(time.perf_counter() - start, 3)}

    def measured(self, job: BatchJob) -> Row | Failure:
        """Measure a run in the batch's folder, and return the columns of its metrics."""
        from grainspec_runtime.batch.measured import measure
        from grainspec_runtime.runs.read import read_measures, read_run

        folder = self.places.local(job.name)
        assert folder is not None
        try:
            measure(read_run(folder))
            return measures_of(read_measures(folder))
        except Exception as error:
            return Failure.of(error)

    def finished(self, job: BatchJob) -> Any:
        """Return what an edit asks whether an interrupted batch has written it already."""
        from grainspec_runtime.runs.write import finished_run

        folder = self.places.local(job.name)
        return partial(finished_run, folder) if folder else lambda key: None

    def gpu_total(self) -> int:
        """Return the memory of the first GPU in bytes."""
        import torch

        return int(torch.cuda.get_device_properties(0).total_memory)
