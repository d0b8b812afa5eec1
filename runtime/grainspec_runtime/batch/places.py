"""Where a batch's files are: clips to read, results to write, both also behind URLs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from grainspec.remote.address import is_url, joined
from grainspec.remote.files import fetched_file
from grainspec.remote.folders import put_folder
from grainspec.remote.spec_files import fetched_base
from grainspec_runtime.batch.jobs import BatchJob
from grainspec_runtime.runs.read import MANIFEST

RUNS = "runs"


@dataclass(frozen=True)
class Places:
    """The places of a batch. output: a folder or a URL. staging: a folder for fetched files."""

    output: str
    staging: Path

    def local(self, name: str) -> Path | None:
        """Return the folder of a job's result; None if it is behind a URL."""
        return None if is_url(self.output) else Path(self.output) / RUNS / name

    def fetched(self, job: BatchJob) -> BatchJob:
        """Return a job whose files are local: what is behind a URL is fetched.

        Of a folder behind a URL, what the spec names.
        """
        if job.clip is not None and is_url(job.clip):
            job = replace(job, clip=str(fetched_file(job.clip, self.staging)))
        if is_url(job.base):
            job = replace(job, base=str(fetched_base(job.chosen, job.base, self.staging)))
        return job

    @contextmanager
    def result(self, name: str) -> Iterator[Path]:
        """Give the folder to write a job's result to; behind a URL, it is sent there at the end.

        Its manifest is sent last: a result with a manifest is whole.
        """
        folder = self.local(name)
        if folder is not None:
            yield folder
            return
        with tempfile.TemporaryDirectory(prefix="grain-batch-") as temporary:
            folder = Path(temporary) / name
            yield folder
            put_folder(folder, joined(self.output, RUNS, name), last=MANIFEST)
