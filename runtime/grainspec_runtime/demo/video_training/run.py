"""A training run of the demo video model: its options, device, log and clips, on any GPUs.

Of several GPUs, started by ``torchrun``, each trains on clips of its own, and their gradients are
averaged. The first one logs, measures and saves.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from grainspec_runtime.demo.training.trainer import Trainer


class Run(Trainer):
    """One process of a training run. rank: its number, of ``ranks`` processes."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.rank, self.ranks = (int(os.environ.get(n, d)) for n, d in (("RANK", 0), _ONE))
        if self.ranks > 1:
            on_gpu = options.device.startswith("cuda")
            if on_gpu:
                options.device = f"cuda:{os.environ['LOCAL_RANK']}"
                torch.cuda.set_device(options.device)
            dist.init_process_group("nccl" if on_gpu else "gloo")
        super().__init__(options)

    @property
    def is_first(self) -> bool:
        """Whether this process logs, measures and saves."""
        return self.rank == 0

    def log(self, stage: str, **facts: Any) -> None:
        """Print facts, and append them to ``log.jsonl``; in the first process only."""
        if self.is_first:
            super().log(stage, **facts)

    def seed(self, step: int) -> int:
        """The seed of all that is drawn in a step of this process."""
        seed: int = (self.options.seed * 1_000_003 + step) * self.ranks + self.rank
        return seed % 2**63

    def agreed(self, value: float) -> float:
        """The value of the first process, for decisions that all must take alike."""
        if self.ranks == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(shared, 0)
        return float(shared)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Average gradients over all processes."""
        if self.ranks == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        parts = (flat / self.ranks).split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def wait(self) -> None:
        """Wait for all processes."""
        if self.ranks > 1:
            dist.barrier()

    def synchronize(self) -> None:
        """Wait for the GPU, before a clock is read."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


_ONE = ("WORLD_SIZE", 1)
