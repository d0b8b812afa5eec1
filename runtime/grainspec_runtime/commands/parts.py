"""``grain run --gpus``: the same command in several processes, each with a part of the clip.

The command starts itself once for each GPU, as torchrun does. All processes make the same edit, in
step; the first one writes it and prints, and the others say nothing unless they fail.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import IO

import click

from grainspec.diagnostics import fail
from grainspec_runtime.commands.loading import LoadingArguments
from grainspec_runtime.models.options import LoadOptions, Parallel
from grainspec_runtime.prepare import Prepared

_PART = "GRAINSPEC_PART"
"""Set in the processes of a run: its number, how many there are, and the port where they meet."""


def part_of_run() -> int | None:
    """Return the number of this process in a run on several GPUs; None if it is not in one."""
    told = os.environ.get(_PART)
    return int(told.split("/")[0]) if told else None


def check_gpus(gpus: int, loading: LoadingArguments) -> None:
    """Raise a usage error for options that do not go with ``--gpus``, G748 if GPUs are missing."""
    for name, on in (("--offload", loading.offload), ("--compile", loading.compiles)):
        if on:
            raise click.UsageError(f"`--gpus` does not work with `{name}`; remove one of them.")
    if loading.arguments["device"] == "cpu":
        return
    import torch

    there = torch.cuda.device_count()
    if there < gpus:
        message = f"`--gpus {gpus}` needs {gpus} GPUs, and this machine has {there}"
        raise fail("G748", message, f"Write `--gpus {there}`." if there > 1 else "Remove `--gpus`.")


def check_prepared(prepared: Sequence[Prepared]) -> None:
    """Raise GrainError for edits that are not divided: G748 for their model, G749 for a method."""
    family = prepared[0].model.family
    if not family.divides_clips:
        message = f"{family.name} runs on one GPU: `--gpus` divides the clips of video transformers"
        raise fail("G748", message, "Remove `--gpus`; `grain batch` uses all GPUs.")
    for method in filter(None, (one.spec.method for one in prepared)):
        if method.name == "dfvedit" and method.word_mask and not method.blends:
            message = "the word mask of `method dfvedit` reads the attention of all latent tokens, "
            message += "which `--gpus` divides"
            cure = "Write `word_mask 0%` in `method dfvedit`, or remove `--gpus`."
            raise fail("G749", message, cure, method.span)


def run_in_parts(gpus: int) -> int:
    """Run this process's command in ``gpus`` processes; return the exit code of the run.

    If one of them fails, the others are ended.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "grainspec", *sys.argv[1:]]
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        processes = [
            subprocess.Popen(
                command,
                env={**os.environ, _PART: f"{number}/{gpus}/{port}"},
                stdin=None if number == 0 else subprocess.DEVNULL,
                stdout=None if number == 0 else said,
                stderr=None if number == 0 else said,
            )
            for number in range(gpus)
        ]
        try:
            return _ended(processes, said)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()


def _ended(processes: list[subprocess.Popen[bytes]], said: IO[str]) -> int:
    """Wait until all processes have ended, or one has failed; return the exit code."""
    while True:
        codes = [process.poll() for process in processes]
        failed = [number for number, code in enumerate(codes) if code]
        if failed:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return processes[0].wait(5) or _fail(failed[0], said)
            return _fail(failed[0], said)
        if all(code is not None for code in codes):
            return 0
        time.sleep(0.1)


def _fail(number: int, said: IO[str]) -> int:
    said.seek(0)
    sys.stderr.write(f"process {number} of the run failed:\n{said.read()[-4000:]}\n")
    return 1


@contextmanager
def joined(options: LoadOptions, gpus: int | None, how: Parallel) -> Iterator[LoadOptions]:
    """Join the processes of the run inside the block; gives the options of this one.

    ``how`` is what self-attention is divided by. Without ``gpus`` they are the options themselves,
    and nothing is joined.
    """
    if not gpus:
        yield options
        return
    import torch
    import torch.distributed as dist

    number, count, port = map(int, os.environ[_PART].split("/"))
    on_cpu = str(options.device) == "cpu"
    if not on_cpu:
        torch.cuda.set_device(number)
    dist.init_process_group(
        "gloo" if on_cpu else "nccl",
        init_method=f"tcp://127.0.0.1:{port}",
        rank=number,
        world_size=count,
    )
    try:
        yield replace(options, device="cpu" if on_cpu else f"cuda:{number}", parallel=how)
    finally:
        dist.destroy_process_group()
