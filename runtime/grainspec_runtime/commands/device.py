"""The option ``--device``."""

from __future__ import annotations

import click


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
