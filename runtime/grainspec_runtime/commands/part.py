"""A process of ``grain run --gpus``: how it meets the others, and how it ends with them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from grainspec.diagnostics import GrainError
from grainspec_runtime.models.options import LoadOptions, Parallel

PART = "GRAINSPEC_PART"
"""Set in the processes of a run: :class:`Part` as text."""

LOST = 3
"""Exit code of a process that could not exchange data with another one; it prints nothing."""

TIME_TO_END = 20.0
"""Seconds after which a process that is to end is killed: it may wait for another one."""

_PATIENCE = timedelta(hours=12)
"""How long a process waits for the others: the first one saves long clips between variants. One
that has ended is noticed at once."""


class Part(NamedTuple):
    """The number of a process, how many there are, and the folder where they meet.

    >>> part = Part(1, 4, Path("some", "folder"))
    >>> Part.read(str(part)) == part
    True
    """

    number: int
    processes: int
    meeting: Path

    @classmethod
    def read(cls, told: str) -> Part:
        """Return it from its text."""
        number, processes, meeting = told.split("/", 2)
        return cls(int(number), int(processes), Path(meeting))

    def options(self, options: LoadOptions, how: Parallel) -> LoadOptions:
        """Return those of this process: its device, and what transformers are divided by."""
        on_cpu = str(options.device).split(":")[0] == "cpu"
        return replace(options, device="cpu" if on_cpu else f"cuda:{self.number}", parallel=how)

    def __str__(self) -> str:
        return f"{self.number}/{self.processes}/{self.meeting}"


def part_of_run() -> Part | None:
    """Return this process's part in a run on several GPUs; None if it is not in one."""
    told = os.environ.get(PART)
    return Part.read(told) if told else None


def end_with_command(part: Part) -> None:
    """End this process when the command that started it does, even if that was killed.

    Its standard input is closed then.
    """

    def watch() -> None:
        with suppress(OSError):
            while os.read(0, 1):  # not sys.stdin, whose lock Python wants as it ends
                pass
        os.kill(os.getpid(), signal.SIGTERM)
        shutil.rmtree(part.meeting, ignore_errors=True)
        time.sleep(TIME_TO_END)  # an exchange with a process that has ended can last
        os._exit(LOST)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def joined(part: Part | None, device: str) -> Iterator[None]:
    """Join the processes of the run inside the block; without ``part``, nothing is joined.

    ``device`` is that of :meth:`Part.options`. Where data cannot be exchanged (G755), this process
    ends: the command says why.
    """
    if part is None:
        yield
        return
    import torch
    import torch.distributed as dist

    from grainspec_runtime.ranks import exchanging

    _stay_on_this_machine()
    _meet(part)
    where: dict[str, Any] = {}
    if device != "cpu":
        torch.cuda.set_device(part.number)
        where["device_id"] = torch.device(device)
    try:
        with exchanging():
            dist.init_process_group(
                "gloo" if device == "cpu" else "nccl",
                init_method=f"file://{part.meeting}/store",
                rank=part.number,
                world_size=part.processes,
                timeout=_PATIENCE,
                **where,
            )
        try:
            yield
        finally:
            dist.destroy_process_group()
    except GrainError as error:
        if error.diagnostics[0].code == "G755":
            _tell_why(part, error)
            raise SystemExit(LOST) from error
        raise


def why_lost(meeting: Path) -> str:
    """Return what the first process that could not exchange data has told."""
    told = sorted(meeting.glob("lost-*"), key=lambda path: path.stat().st_mtime_ns)
    return told[0].read_text() if told else "one of them has ended"


def _tell_why(part: Part, error: GrainError) -> None:
    """Leave the first line of what was raised for the command."""
    lines = str(error.__cause__ or error).strip().splitlines() or [""]
    with suppress(OSError):
        (part.meeting / f"lost-{part.number}").write_text(lines[0][:300])


def _meet(part: Part) -> None:
    """Wait for the others to come, in a way that signals end: torch's own waiting is not."""
    (part.meeting / f"here-{part.number}").touch()
    while len(list(part.meeting.glob("here-*"))) < part.processes:
        time.sleep(0.05)


def _stay_on_this_machine() -> None:
    """Exchange data over the loopback interface, unless another one is chosen.

    The store through which they meet is a file: torch's own one listens to all machines.
    """
    names = (name for _, name in socket.if_nameindex() if name.startswith("lo"))
    if loopback := next(names, None):
        for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            os.environ.setdefault(variable, loopback)
