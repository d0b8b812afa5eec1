"""The processes of torch.distributed that share a clip.

Each process loads the model and makes the same edit, in step. They share the latent tokens of each
pass of a transformer (:mod:`grainspec_runtime.modulation.part`) and the rows of frames that its VAE
decodes, or the windows of a long clip: of those of a prediction, process r of R runs r, r + R, r +
2R, …, and receives the results of the others. Every process then adds all of them in the order of
the windows, as one process alone does: where the network rounds alike, the edit is bit-identical to
that of one process, and the processes cannot drift apart.

What depends on the cache or on other files, they do only if all of them agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from grainspec.diagnostics import fail


class WindowDivision(NamedTuple):
    """How processes share the windows of a clip."""

    windows: int
    processes: int

    def __str__(self) -> str:
        return f"{self.windows} windows"


@dataclass(frozen=True)
class Ranks:
    """The processes that make an edit together, by default a single one, and this one's rank.

    divides_windows: whether each process runs some of the windows. If not, each runs all of them:
    with part of the tokens, or alone.
    device: where tensors are exchanged.
    """

    rank: int = 0
    count: int = 1
    divides_windows: bool = False
    device: str = "cpu"

    @classmethod
    def of_group(cls, *, divides_windows: bool) -> Ranks:
        """The processes of torch.distributed's default group, which is initialized."""
        on_gpu = dist.get_backend() == "nccl"
        device = f"cuda:{torch.cuda.current_device()}" if on_gpu else "cpu"
        return cls(dist.get_rank(), dist.get_world_size(), divides_windows, device)

    @property
    def is_first(self) -> bool:
        """Whether this process writes what all of them have."""
        return self.rank == 0

    def division_of(self, windows: int) -> WindowDivision:
        """Return how the processes share so many windows."""
        return WindowDivision(windows, self.count)

    def own(self, parts: int) -> range:
        """Return which of so many parts, such as windows, this process computes."""
        return range(self.rank, parts, self.count) if self.divides_windows else range(parts)

    def gathered(
        self, own: Iterable[Tensor], shapes: Sequence[Sequence[int]], like: Tensor
    ) -> Iterable[Tensor]:
        """Return all parts in their order, of which this process computes those of :meth:`own`.

        ``shapes`` are those of all parts, ``like`` has their dtype and device. If windows are not
        divided, ``own`` itself is returned, so that each part is computed when it is needed.
        Raises GrainError (G755) if another process has ended.
        """
        if not self.divides_windows:
            return own
        sizes = [math.prod(shape) * like.dtype.itemsize for shape in shapes]
        parts = [range(rank, len(shapes), self.count) for rank in range(self.count)]
        most = max(sum(sizes[index] for index in numbers) for numbers in parts)
        sent = torch.zeros(most, dtype=torch.uint8, device=self.device)
        end = 0
        for part in own:
            raw = part.to(like.dtype).contiguous().flatten().view(torch.uint8)
            sent[end : (end := end + len(raw))] = raw
        come = from_all(sent)
        found = [like] * len(shapes)
        for numbers, flat in zip(parts, come, strict=True):
            end = 0
            for index in numbers:
                raw = flat[end : (end := end + sizes[index])]
                found[index] = raw.view(like.dtype).view(*shapes[index]).to(like.device)
        return found

    def agree(self, value: int) -> bool:
        """Return whether all processes have the same value; all of them have to call it.

        Raises GrainError (G755) if another process has ended.
        """
        if self.count == 1:
            return True
        ends = torch.tensor([value, -value], device=self.device)
        with exchanging():
            dist.all_reduce(ends, dist.ReduceOp.MAX)
        largest, smallest = ends.tolist()
        return bool(largest == -smallest)


ALONE = Ranks()
"""A single process."""


@contextmanager
def exchanging() -> Iterator[None]:
    """Raise GrainError (G755) if another process has ended with which the block exchanges data."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        message = "another process of the run has ended before this one"
        raise fail("G755", message, "Read its message, and give the same command again.") from error


def from_all(part: Tensor, group: Any = None) -> list[Tensor]:
    """Return the parts of all processes of a group, by default of all; they have the same shape.

    Raises GrainError (G755) if another process has ended.
    """
    part = part.contiguous()
    parts = [torch.empty_like(part) for _ in range(dist.get_world_size(group))]
    with exchanging():
        dist.all_gather(parts, part, group=group)
    return parts
