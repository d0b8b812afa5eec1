"""Where networks compute: the best device of the machine, or the one that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import torch


def best_device() -> torch.device:
    """CUDA if there is one, then Apple's MPS, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def known_device(name: str | None) -> str | None:
    """The name of a device that torch has here; a usage error for any other."""
    if name is None:
        return None
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise click.BadParameter(f"{name}: {reason}", param_hint="--device") from error
    return name
