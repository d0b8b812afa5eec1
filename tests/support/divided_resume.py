"""A program in which two processes interrupt and resume the edit of a spec by ring attention.

    python divided_resume.py SPEC FOLDER

FOLDER is for caches. Prints a line of JSON for each process: the steps that were taken over, and
whether the frames are those without an interruption, when both processes find the state and when
only the first one does.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path

import torch.distributed as dist
from forked import in_forks

from grainspec import load
from grainspec_runtime import Editor
from grainspec_runtime.editing import resume
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.prepare import Prepared, prepare


class Stopped(Exception):
    """The run is interrupted."""


def stop(stage: str, done: int, total: int) -> None:
    if stage == "sample" and done == 2:
        raise Stopped


def resumed(prepared: Prepared, folder: Path) -> list[list[object]]:
    resume._SECONDS_BETWEEN = 0.0
    os.environ["GRAINSPEC_CACHE"] = str(folder)
    loading = LoadOptions(device="cpu", parallel="ring")
    editor = Editor(prepared.spec.model, loading=loading)
    straight = editor.run_prepared(prepared)
    found: list[list[object]] = []
    for together in (True, False):
        try:
            editor.run_prepared(prepared, progress=stop)
        except Stopped:
            dist.barrier()  # so that both have saved their state
        if dist.get_rank() and not together:
            os.environ["GRAINSPEC_CACHE"] = str(folder / "empty")
        again = editor.run_prepared(prepared)
        same = bool((again.edited == straight.edited).all())
        found.append([again.resumed_at, again.inversion_cached, same])
    return found


if __name__ == "__main__":
    spec, folder = map(Path, sys.argv[1:])
    prepared = prepare(load(spec), spec.parent)
    for found in in_forks(2, partial(resumed, prepared, folder)):
        print(json.dumps(found))
