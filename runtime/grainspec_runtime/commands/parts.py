"""``grain run --gpus``: the same command in several processes, each with a part of the clip.

The command starts itself once for each GPU, as torchrun does, and ends when the first process has
written the run. All make the same edit, in step; the first one prints, and the others say nothing
unless they fail. What a process does is in :mod:`.part`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, NamedTuple

import click

from grainspec.cli.ending import INTERRUPTED, OK
from grainspec.diagnostics import fail
from grainspec_runtime.commands.loading import LoadingArguments
from grainspec_runtime.commands.part import LOST, PART, TIME_TO_END, Part, why_lost

_TIME_TO_FAIL = 5.0
"""Seconds for the others to fail after one: the first that did so may be the last to end."""


class Said(NamedTuple):
    """Files of what a process prints, which is shown only if it fails; None prints it."""

    out: IO[str] | None = None
    err: IO[str] | None = None

    def show(self, number: int) -> None:
        """Print what the process of this number has said."""
        for file, stream in ((self.out, sys.stdout), (self.err, sys.stderr)):
            if file is None:
                continue
            file.seek(0)
            if text := file.read():
                if stream is sys.stderr:
                    text = f"process {number} of the run failed:\n{text[-4000:]}\n"
                stream.write(text)


def check_gpus(gpus: int, loading: LoadingArguments) -> None:
    """Raise a usage error for options that do not go with ``--gpus``, G748 if GPUs are missing."""
    for name, on in (("--offload", loading.offload), ("--compile", loading.compiles)):
        if on:
            raise click.UsageError(f"`--gpus` does not work with `{name}`; remove one of them.")
    kind, _, number = str(loading.arguments["device"] or "").partition(":")
    if kind == "cpu":
        return
    if number:
        message = f"`--gpus {gpus}` uses the first {gpus} GPUs: write `--device {kind}`. "
        message += "The environment variable `CUDA_VISIBLE_DEVICES` chooses which these are."
        raise click.UsageError(message)
    import torch

    there = torch.cuda.device_count()
    if there < gpus:
        message = f"`--gpus {gpus}` needs {gpus} GPUs, and this machine has {there}"
        raise fail("G748", message, f"Write `--gpus {there}`." if there > 1 else "Remove `--gpus`.")


def run_in_parts(gpus: int) -> int:
    """Run this process's command in ``gpus`` processes; return the exit code of the run.

    If one of them fails, the others are ended; if this process is, they end, too.
    """
    # What it imports is what this process would: `-m` alone looks in the current folder first.
    command = [sys.executable, "-P", "-m", "grainspec", *sys.argv[1:]]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with tempfile.TemporaryDirectory(prefix="grainspec-") as meeting, ExitStack() as files:
        opened = [
            files.enter_context(tempfile.TemporaryFile("w+", errors="replace"))
            for _ in range(2 * gpus - 2)
        ]
        said = [Said(), *map(Said, opened[::2], opened[1::2])]
        processes: list[subprocess.Popen[bytes]] = []
        try:
            for number in range(gpus):
                told = str(Part(number, gpus, Path(meeting)))
                started = subprocess.Popen(
                    command,
                    env={**environment, PART: told},
                    stdin=subprocess.PIPE,  # closed if this process ends, which they notice
                    stdout=said[number].out,
                    stderr=said[number].err,
                )
                processes.append(started)
            return ended(processes, said, Path(meeting))
        except KeyboardInterrupt:
            return INTERRUPTED  # the first process says so
        finally:
            _end(processes)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    end = time.monotonic() + TIME_TO_END
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, end - time.monotonic()))
        process.kill()
        process.communicate()


def ended(processes: Sequence[subprocess.Popen[bytes]], said: Sequence[Said], meeting: Path) -> int:
    """Wait until the first process has ended, or one has failed; return the run's exit code.

    Shows what another process than the first has said if that is why the run failed. Raises
    GrainError (G755) if the system has ended one, or if they could not exchange data.
    """
    codes = [process.poll() for process in processes]
    while codes[0] is None and not any(codes):
        time.sleep(0.1)
        codes = [process.poll() for process in processes]
    end = time.monotonic() + _TIME_TO_FAIL
    while codes[0] != OK and None in codes and time.monotonic() < end:
        time.sleep(0.1)
        codes = [process.poll() for process in processes]
    if codes[0] == OK:  # it has written the run
        return OK
    failed = [(number, code) for number, code in enumerate(codes) if code and code != LOST]
    if not failed:
        message = f"the processes of the run cannot exchange data: {why_lost(meeting)}"
        raise fail("G755", message, "Give the same command again, which resumes the run.")
    # an error explains more than a signal, which may be that of a library whose peer is gone
    number, code = min(failed, key=lambda it: (it[1] < 0, it[0]))
    if code > 0:
        said[number].show(number)
        return code
    message = f"process {number} of the run was ended by signal {-code}"
    cure = "Give the same command again, which resumes the run. Is there enough memory?"
    raise fail("G755", message, cure)
