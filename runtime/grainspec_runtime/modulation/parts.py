"""A process's part of a prediction: tokens of its passes, or of one of the two passes of guidance.

A prediction with guidance has two passes of the network, unconditional and conditional, which need
nothing of each other. If the division says so, half of the processes run the first one, and the
others the second one; each half divides the tokens of its pass (:mod:`.part`), and each process
gets the other pass from its partner in the other half. A prediction of one pass is divided between
all processes. Fang et al. (arXiv 2411.01738) call the first *CFG parallelism*.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
import torch.distributed as dist
from torch import Tensor

from grainspec_runtime.modulation.part import Division, Part
from grainspec_runtime.ranks import from_all


class Parts:
    """The parts of a process, of which ``now`` is that of the prediction that is made.

    All processes of torch.distributed have to make it. Its exchanges raise GrainError (G755) if
    another process has ended.
    """

    def __init__(self, division: Division, heads: Collection[int]) -> None:
        self.division = division
        ranks = dist.get_world_size()
        if division.passes == 1:
            self._all = Part(division)
        else:
            half = ranks // 2
            self._all = Part(Division.of(ranks, heads))
            sharing, _ = dist.new_subgroups(half)
            self._half = Part(division, sharing)
            pairs = [dist.new_group([number, number + half]) for number in range(half)]
            self._pair, self._pass = pairs[dist.get_rank() % half], dist.get_rank() // half
        self.now = self._all

    def begin(self, passes: int) -> range:
        """Begin a prediction of so many passes; returns those that this process runs."""
        if self.division.passes == passes == 2:
            self.now = self._half
            return range(self._pass, self._pass + 1)
        self.now = self._all
        return range(passes)

    def same(self, tensor: Tensor) -> Tensor:
        """Return the first process's tensor: rounding must not make the processes drift apart."""
        return self._all.same(tensor)

    def exchanged(self, own: Tensor) -> Tensor:
        """Return the outputs of all passes, one after the other, from this process's ``own``."""
        if self.now is self._all:
            return own
        return torch.cat(from_all(own, self._pair))
