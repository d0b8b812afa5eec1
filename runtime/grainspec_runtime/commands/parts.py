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
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import IO

import click

from grainspec.diagnostics import GrainError, fail
from grainspec_runtime.commands.loading import LoadingArguments
from grainspec_runtime.models.options import LoadOptions, Parallel

_PART = "GRAINSPEC_PART"
"""Set in the processes of a run: its number, how many there are, and the port where they meet."""

_PATIENCE = timedelta(hours=12)
"""How long a process waits for the others: the first one saves long clips between variants. One
that has ended is noticed at once."""

_TIME_TO_END = 20.0
"""Seconds after which a process that is to end is killed: it may wait for another one."""

_TIME_TO_FAIL = 5.0
"""Seconds for the others to fail after one: the first that did so may be the last to end."""

_LOST = 3
"""Exit code of a process that ends because another one has; it prints nothing."""


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


def run_in_parts(gpus: int) -> int:
    """Run this process's command in ``gpus`` processes; return the exit code of the run.

    If one of them fails, the others are ended.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "grainspec", *sys.argv[1:]]
    with ExitStack() as files:
        said = [
            files.enter_context(tempfile.TemporaryFile("w+", errors="replace")) for _ in range(gpus)
        ]
        processes = [
            subprocess.Popen(
                command,
                env={**os.environ, _PART: f"{number}/{gpus}/{port}"},
                stdin=None if number == 0 else subprocess.DEVNULL,
                stdout=None if number == 0 else said[number],
                stderr=None if number == 0 else said[number],
            )
            for number in range(gpus)
        ]
        try:
            return _ended(processes, said)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_TIME_TO_END)
                process.kill()
                process.wait()


def _ended(processes: list[subprocess.Popen[bytes]], said: Sequence[IO[str]]) -> int:
    """Wait until all processes have ended, or one has failed; return the exit code of the run.

    Prints what another process than the first has said last if that is why the run failed. Raises
    GrainError (G755) if the system has ended one.
    """
    codes: list[int | None] = [None]
    while None in codes and not any(codes):
        time.sleep(0.1)
        codes = [process.poll() for process in processes]
    if not any(codes):
        return 0
    end = time.monotonic() + _TIME_TO_FAIL
    while None in codes and time.monotonic() < end:
        time.sleep(0.1)
        codes = [process.poll() for process in processes]
    failed = [(number, code) for number, code in enumerate(codes) if code and code != _LOST]
    # an error explains more than a signal, which may be that of a library whose peer is gone
    number, code = min(failed, key=lambda it: (it[1] < 0, it[0]), default=(0, 1))
    if number:
        said[number].seek(0)
        last = said[number].read()[-4000:]
        sys.stderr.write(f"process {number} of the run failed:\n{last}\n")
    if code < 0:
        message = f"process {number} of the run was ended by signal {-code}"
        cure = "Give the same command again, which resumes the run. Is there enough memory?"
        raise fail("G755", message, cure)
    return code


@contextmanager
def joined(options: LoadOptions, gpus: int | None, how: Parallel) -> Iterator[LoadOptions]:
    """Join the processes of the run inside the block; gives the options of this one.

    ``how`` is what a transformer's self-attention is divided by. Without ``gpus`` they are the
    options themselves, and nothing is joined. Where another process has ended (G755), this one
    ends, too: :func:`run_in_parts` says why.
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
        timeout=_PATIENCE,
    )
    try:
        yield replace(options, device="cpu" if on_cpu else f"cuda:{number}", parallel=how)
    except GrainError as error:
        if error.diagnostics[0].code == "G755":
            raise SystemExit(_LOST) from error
        raise
    finally:
        dist.destroy_process_group()
