"""Choose the device that networks run on: the best available, or the requested one."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import torch


def best_device() -> torch.device:
    """Return CUDA if available, else Apple's MPS, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def known_device(name: str | None) -> str | None:
    """Return the same device name; raises a usage error if torch does not have the device."""
    if name is None:
        return None
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        here = ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]
        message = f"torch has no device `{name}` on this machine; it has {', '.join(here)}"
        raise click.BadParameter(message, param_hint="--device") from error
    return name


def may_have_gpu() -> bool:
    """Return whether the machine may have a GPU that torch can use; this does not import torch."""
    places = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
    return not sys.platform.startswith("linux") or any(os.path.exists(place) for place in places)


def main_memory() -> int | None:
    """Return the bytes of main memory that this process can still use; None if that is unknown.

    A limit of the container (cgroup 2) counts too.
    """
    try:
        meminfo = Path("/proc/meminfo").read_text()
    except OSError:
        return _installed_memory()
    found = re.search(r"MemAvailable:\s+(\d+) kB", meminfo)
    free = int(found[1]) * 1024 if found else None
    try:
        limit, used = (
            Path(f"/sys/fs/cgroup/memory.{name}").read_text().strip() for name in ("max", "current")
        )
    except OSError:
        return free
    if limit == "max" or free is None:
        return free
    return max(0, min(free, int(limit) - int(used)))


def _installed_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on this system
        return None


def gpu_memory(device: torch.device) -> int | None:
    """Return the bytes of memory that are free on a CUDA device; None for others."""
    import torch

    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return int(free)
