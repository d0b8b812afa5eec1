"""How many scores are held at a time where they are computed a block of rows after another."""

from __future__ import annotations

import torch

BLOCK_ELEMENTS = 1 << 19
"""Scores held at a time (2 MiB in float32): small enough for a CPU's cache."""

GPU_BLOCK_ELEMENTS = 1 << 24
"""On a GPU (64 MiB): so many that starting its kernels takes little of the time."""


def rows_at_a_time(device: torch.device, scores_of_a_row: int) -> int:
    """The rows of a block, at least 16.

    >>> rows_at_a_time(torch.device("cpu"), 512)
    1024
    """
    held = GPU_BLOCK_ELEMENTS if device.type == "cuda" else BLOCK_ELEMENTS
    return max(16, held // scores_of_a_row)
