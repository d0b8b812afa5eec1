"""Choose the device that networks run on: the best available, or the requested one."""

from __future__ import annotations

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
