"""What an edit costs: wall time, peak GPU memory and peak RAM, measured while it runs."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

_PROCESS = Path("/proc/self")
MIB = 2**20


@dataclass
class Cost:
    """seconds: wall time. gpu: peak memory that torch allocated on the GPU, in MiB; None on a CPU.
    ram: the process's peak resident memory in MiB, of the model and of Python too; None where the
    system cannot measure it for a part of a process's life (it is measured on Linux)."""

    seconds: float = 0.0
    gpu: float | None = None
    ram: float | None = None


@contextmanager
def measured_cost(device: torch.device) -> Iterator[Cost]:
    """Measure the block; the values are there after it."""
    cost = Cost()
    gc.collect()  # what earlier edits left is not this one's
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    counted = _reset_peak()
    start = time.perf_counter()
    yield cost
    if on_gpu:
        torch.cuda.synchronize(device)
        cost.gpu = torch.cuda.max_memory_allocated(device) / MIB
    cost.seconds = time.perf_counter() - start
    cost.ram = _peak() if counted else None


def device_name(device: str) -> str:
    """The name of the device by which costs can be compared: that of a GPU's model.

    >>> device_name("cpu")
    'cpu'
    """
    kind = torch.device(device).type
    return torch.cuda.get_device_name(device) if kind == "cuda" else kind


def _reset_peak() -> bool:
    """Let Linux count this process's peak resident memory from now on; whether it can."""
    try:
        (_PROCESS / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _peak() -> float | None:
    """The peak resident memory since the last reset, in MiB."""
    for line in (_PROCESS / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return None
