"""Run benchmark cases in parallel, save each result at once, and skip finished ones."""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from grainspec.diagnostics import GrainError
from grainspec.model.spec import DEMO
from grainspec.regular_file import read_json
from grainspec.whole_file import whole_file
from grainspec_runtime.backbones.registry import find_model
from grainspec_runtime.bench.case import Case, CaseSet, Split
from grainspec_runtime.bench.cases import make_case
from grainspec_runtime.bench.clip_cases import make_clip_case
from grainspec_runtime.bench.clips import RenderedCase
from grainspec_runtime.bench.cost import device_name
from grainspec_runtime.bench.edit import Bench
from grainspec_runtime.bench.methods import Method, failure_of
from grainspec_runtime.bench.summary import Result
from grainspec_runtime.editing.resume import run_key
from grainspec_runtime.measures.clip_model import load_clip
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.models.fingerprint import content_digest
from grainspec_runtime.prepare import prepare

SITTING = "sitting"
_SITTING = f"{socket.gethostname()} {os.getpid()} {time.time():.0f}"
"""Told with the cost of an edit: costs of one table may be of several runs of the command."""
VERSION = 4
"""Increase when cases, scores or methods change, so that old and new results do not mix."""


@dataclass(frozen=True)
class Job:
    """What to run on each case, and where."""

    split: Split
    methods: tuple[Method, ...]
    steps: int
    folder: Path
    devices: tuple[str, ...]
    """Cases are distributed over the devices."""
    threads: int
    model: str = DEMO
    """A model of the demo world: its name, or an absolute path."""
    cases: CaseSet = "frames"
    clip: str = ""
    """The folder or hub id of the CLIP that measures; empty for none."""
    apart: int = 0
    """In so many of the first cases, edits share no inversion, so that their cost is whole."""

    def case(self, index: int) -> Case:
        """Generate a case of the set and the split."""
        return _MAKE[self.cases](index, self.split)

    def key(self, case: Case, method: Method) -> str:
        """Hash everything that a score depends on."""
        spec = method.spec(case, self.steps, self.model)
        facts = {
            "version": VERSION,
            "model": _model_digest(self.model),
            "spec": spec.model_dump(mode="json", by_alias=True),
            "modulation": spec.modulation.model_dump(mode="json"),  # the spec may name a profile
            "reweighted": method.reweighted,
            "clip": clip_digest(self.clip),
            "devices": sorted({device_name(device) for device in self.devices}),
        }
        return run_key(facts)[:16]

    def keys(self, case: Case) -> dict[str, str]:
        """The keys of all methods on a case, by the methods' names."""
        return {method.name: self.key(case, method) for method in self.methods}

    def path(self, case: Case) -> Path:
        """The file of a case's scores."""
        return self.folder / "cases" / f"{case.name}.json"

    def saved(self, case: Case, keys: Mapping[str, str] | None = None) -> Result:
        """Load the saved scores of a case that are still up to date, as its ``keys`` say."""
        keys, path = keys or self.keys(case), self.path(case)
        content: Result = {}
        if path.is_file():
            try:
                content = read_json(path, bounded=True)
            except (OSError, ValueError):  # foreign, or truncated by a full disk: run again
                content = {}
        scores = content.get("scores", {})
        current = {
            name: scores[name]
            for name, key in keys.items()
            if scores.get(name, {}).get("key") == key
        }
        return {**_facts(case), "scores": current, "not_run": {}}


def run_bench(
    count: int,
    job: Job,
    *,
    workers: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Result]:
    """Run the first ``count`` cases of a split, and return their results in order.

    Every score is written to ``job.folder`` as soon as it exists, so that an interrupted benchmark
    resumes with the missing ones. A method whose edit fails has no score, but the reason in
    ``not_run``; it is tried again when the benchmark resumes. ``progress`` receives the number of
    finished cases and the total.
    """
    cases = [job.case(index) for index in range(count)]
    results = {case.name: job.saved(case) for case in cases}
    missing = [
        index
        for index, case in enumerate(cases)
        if len(results[case.name]["scores"]) < len(job.methods)
    ]
    done = count - len(missing)
    progress(done, count)
    for result in _run_cases(missing, job, workers):
        results[result["name"]] = result
        done += 1
        progress(done, count)
    return [results[case.name] for case in cases]


def _run_cases(indices: Sequence[int], job: Job, workers: int) -> Iterator[Result]:
    work = functools.partial(_run_case, job=job)
    if workers <= 1 or len(indices) <= 1:
        yield from map(work, indices)
        return
    context = multiprocessing.get_context("spawn")  # CUDA and threads do not survive a fork
    pool = ProcessPoolExecutor(min(workers, len(indices)), mp_context=context)
    try:
        for future in as_completed([pool.submit(work, index) for index in indices]):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@functools.cache
def _bench(device: str, model: str, clip: str) -> Bench:
    """This process's model and CLIP on a device, loaded once."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    return Bench(device, model, load_clip(clip, device=device) if clip else None)


def _run_case(index: int, job: Job) -> Result:
    torch.set_num_threads(job.threads)
    case = job.case(index)
    keys = job.keys(case)
    result = job.saved(case, keys)
    missing = [method for method in job.methods if method.name not in result["scores"]]
    rendered = RenderedCase(case)
    clips = job.folder / "clips" / case.name
    clips.mkdir(parents=True, exist_ok=True)
    save_clip(rendered.source[0], clips / "source.webp")
    save_clip(rendered.target[0], clips / "target.webp")
    path = job.path(case)
    path.parent.mkdir(parents=True, exist_ok=True)
    bench = _bench(job.devices[index % len(job.devices)], job.model, job.clip)

    def failed(method: Method, error: GrainError) -> None:
        result["not_run"][method.name] = failure_of(error)

    is_apart = index < job.apart
    for method, values, frames in bench.edits(
        rendered, missing, job.steps, apart=is_apart, failed=failed
    ):
        save_clip(frames, clips / f"{file_name(method.name)}.webp")
        score = {"key": keys[method.name], **values}
        result["scores"][method.name] = score | ({SITTING: _SITTING} if is_apart else {})
        with whole_file(path) as partial:
            partial.write_text(json.dumps(result, indent=1) + "\n")
    return result


def file_name(method: str) -> str:
    """A method's name as a file name."""
    return "".join(c if c.isalnum() else "-" for c in method)


def save_clip(frames: Frames, path: Path) -> None:
    """Write frames as an animated WebP."""
    first, *others = [Image.fromarray(np.ascontiguousarray(frame)) for frame in frames]
    with whole_file(path) as partial:
        first.save(
            partial,
            "WEBP",
            save_all=True,
            append_images=others,
            duration=150,
            loop=0,
            quality=88,
            method=2,
        )


def _facts(case: Case) -> Result:
    spec = case.spec.build()
    return {
        "name": case.name,
        "grain": case.grain,
        "kind": case.kind,
        "asked": case.asked,
        "source": spec.source,
        "target": spec.target,
    }


@functools.cache
def _model_digest(model: str) -> str:
    located, _ = find_model(model, Path())
    folders = [located.folder, *([located.motion.folder] if located.motion else [])]
    return "-".join(content_digest(folder) for folder in folders)


@functools.cache
def clip_digest(clip: str) -> str:
    """Hash the files of a CLIP's folder; a hub id stands for itself."""
    return content_digest(Path(clip)) if Path(clip).is_dir() else clip


def check_first(job: Job) -> None:
    """Prepare the first case with every method, to find what the model cannot run.

    Raises GrainError, before a model is loaded.
    """
    case = job.case(0)
    with tempfile.TemporaryDirectory(prefix="grain-bench-") as place:
        RenderedCase(case).write(Path(place))
        for method in job.methods:
            prepare(method.spec(case, job.steps, job.model), Path(place))


_MAKE: dict[CaseSet, Callable[[int, Split], Case]] = {"frames": make_case, "clips": make_clip_case}
