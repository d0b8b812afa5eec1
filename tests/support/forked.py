"""Processes that are joined by gloo, for programs of this folder.

They are forked, since each would take seconds to load torch anew: call this from a program that
has no threads, not from a test.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

import torch
import torch.distributed as dist


def in_forks(count: int, work: Callable[[], Any]) -> list[Any]:
    """Call ``work`` in so many processes of one group; return what each returns."""
    torch.set_num_threads(1)
    # torch's threads do not survive a fork: transformers would load in others, and now and then fail
    os.environ["HF_DEACTIVATE_ASYNC_LOAD"] = "1"
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        running = []
        for number in range(count):
            ours, theirs = context.Pipe(duplex=False)
            given = (f"file://{folder}/meeting", number, count, work, theirs)
            process = context.Process(target=_joined, args=given, daemon=True)
            process.start()
            theirs.close()  # so that the end of the process ends our reading
            running.append((process, ours))
        results = [ours.recv() for _, ours in running]
        for process, _ in running:
            process.join()
    return results


def _joined(meeting: str, number: int, count: int, work: Callable[[], Any], to: Connection) -> None:
    dist.init_process_group(
        "gloo", init_method=meeting, rank=number, world_size=count, timeout=timedelta(seconds=60)
    )
    to.send(work())
    dist.barrier()
    dist.destroy_process_group()
