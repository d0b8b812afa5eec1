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
        reason = str(error).strip().splitlines()[0]
        raise click.BadParameter(f"{name}: {reason}", param_hint="--device") from error
    return name
