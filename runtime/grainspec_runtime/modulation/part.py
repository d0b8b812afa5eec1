"""A process's part of the tokens of a clip, and what it exchanges with the other processes.

Of W processes, each has n tokens of the clip, in the order of its number. W = u · r: u neighbours
are a *group*, in which the heads of self-attention are divided, by Ulysses (Jacobs et al., arXiv
2309.14509, section 3.1): an all-to-all gives each process all tokens of its group for H / u heads,
and another gives its own tokens of all heads back. The r groups are a *ring*, in which the keys are
divided (Liu et al., arXiv 2310.01889, section 3): keys and values of the groups travel around it,
and each process attends to one group's while it receives the next one's. With r = 1 it is Ulysses
alone, with u = 1 ring attention alone (Fang and Zhao, arXiv 2405.07719, combine them in this way).

Tokens are padded to a multiple of W where they are divided; attention never sees the padding.

Dimensions: P passes in a call, H heads, h = H / u of them, N tokens of the clip, n of a process,
m = u · n of a group, D width, d head size.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from grainspec_runtime.models.options import Parallel
from grainspec_runtime.ranks import exchanging, from_all


class Division(NamedTuple):
    """How processes share a prediction: ``ulysses`` share the heads, ``ring`` the keys.

    passes: 2 if half of the processes run the unconditional pass of guidance, and the other half
    the conditional one (:mod:`.parts`); ``ulysses`` and ``ring`` are then those of a half.
    """

    ulysses: int
    ring: int
    passes: int = 1

    @classmethod
    def of(cls, processes: int, heads: Collection[int], how: Parallel = "auto") -> Division:
        """Return it for networks of so many heads: as much Ulysses as they allow, or none of it.

        The number of processes has to be even to divide the passes of ``guidance``.

        >>> Division.of(4, [12]), Division.of(5, [12])
        (Division(ulysses=4, ring=1, passes=1), Division(ulysses=1, ring=5, passes=1))
        >>> Division.of(4, [12], "ring"), Division.of(8, [12], "guidance")
        (Division(ulysses=1, ring=4, passes=1), Division(ulysses=4, ring=1, passes=2))
        """
        if how == "guidance":
            return cls.of(processes // 2, heads)._replace(passes=2)
        ulysses = 1 if how == "ring" else math.gcd(processes, *heads)
        return cls(ulysses, processes // ulysses)

    def __str__(self) -> str:
        if self.passes > 1:
            inner = self._replace(passes=1)
            alone = self.ulysses == self.ring == 1
            return "passes of guidance" + ("" if alone else f", each divided by {inner}")
        if self.ring == 1:
            return "Ulysses"
        if self.ulysses == 1:
            return "ring attention"
        return f"Ulysses in groups of {self.ulysses}, ring attention between {self.ring} groups"


class KeySlice(NamedTuple):
    """Keys and values ``[P, h, k, d]`` of some tokens of the clip."""

    key: Tensor
    value: Tensor
    tokens: slice


class Part:
    """A process's part of the tokens of a clip, whose number the network tells in every call.

    The processes are those of torch.distributed, or ``sharing`` of them, if it is given: a group of
    consecutive ones, whose number all groups have. All processes have to make it. Its exchanges
    raise GrainError (G755) if another process has ended.
    """

    def __init__(self, division: Division, sharing: Any = None) -> None:
        self.division = division
        self.rank, self.ranks = dist.get_rank(sharing), dist.get_world_size(sharing)
        self.tokens = 0
        self._first = dist.get_rank() - self.rank
        self._all = self._group = sharing  # None: all processes
        if 1 < division.ulysses < self.ranks:
            self._group, _ = dist.new_subgroups(division.ulysses)

    @property
    def padded(self) -> int:
        """Tokens of a process, n, with padding."""
        return -(-self.tokens // self.ranks)

    @property
    def own(self) -> slice:
        """The tokens of this process, without padding."""
        return self._tokens_of(self.rank, 1)

    @property
    def group_tokens(self) -> slice:
        """The tokens of this process's group, without padding."""
        return self._tokens_of_group(self._place)

    def of(self, whole: Tensor, dim: int = 1) -> Tensor:
        """Return this process's part of a tensor, with zeros for padding."""
        own = whole.narrow(dim, self.own.start, self.own.stop - self.own.start)
        return padded(own, dim, self.padded)

    def gathered(self, part: Tensor, dim: int = 1) -> Tensor:
        """Return the whole of a tensor whose parts ``[…, n, …]`` are in the processes."""
        return torch.cat(from_all(part, self._all), dim=dim).narrow(dim, 0, self.tokens)

    def heads_divided(self, *parts_PHnd: Tensor) -> Tensor:
        """Exchange: from all heads of this process's tokens to h heads of its group's.

        Returns a stack ``[…, P, h, m, d]`` of as many tensors, with padding. In memory it has the
        order of tokens, as that of layers, so that neither side of the exchange is copied again.
        """
        u, like = self.division.ulysses, parts_PHnd[0]
        passes, heads, tokens, width = like.shape
        sent = like.new_empty(u, tokens, len(parts_PHnd), passes, heads // u, width)
        for number, part in enumerate(parts_PHnd):
            copy(part.unflatten(1, (u, -1)).permute(1, 3, 0, 2, 4), sent[:, :, number])
        come = self._exchanged(sent)  # [u, n, 3, P, h, d]
        return come.flatten(0, 1).permute(1, 2, 3, 0, 4)

    def tokens_divided(self, group_Phmd: Tensor) -> Tensor:
        """Exchange: from h heads of the group's tokens to all heads of this process's tokens."""
        u = self.division.ulysses
        whole = padded(group_Phmd, 2, u * self.padded)
        sent = whole.permute(2, 0, 1, 3).unflatten(0, (u, -1))  # [u, n, P, h, d]
        come = self._exchanged(sent.contiguous()).permute(2, 1, 0, 3, 4)
        out_Pnuhd = torch.empty_like(come, memory_format=torch.contiguous_format)
        copy(come, out_Pnuhd)
        return out_Pnuhd.flatten(2, 3).transpose(1, 2)

    def around(self, kv_2Phmd: Tensor) -> Iterator[KeySlice]:
        """Yield the keys and values of all groups, those of this process's group first.

        They are valid until the next ones are asked for. While the caller attends to a group's,
        the next group's are received into the second of two buffers; the first is ``kv_2Phmd``.
        """
        held = free = kv_2Phmd
        if self.division.ring > 1:
            held = kv_2Phmd.contiguous()
            free = torch.empty_like(held)
        for turn in range(self.division.ring):
            is_last = turn == self.division.ring - 1
            transfers = [] if is_last else self._pass_on(held, free)
            tokens = self._tokens_of_group((self._place - turn) % self.division.ring)
            if tokens.start < tokens.stop:
                key, value = held[:, :, :, : tokens.stop - tokens.start]
                yield KeySlice(key, value, tokens)
            with exchanging():
                for transfer in transfers:
                    transfer.wait()
            held, free = free, held

    def same(self, tensor: Tensor) -> Tensor:
        """Return the first process's tensor: rounding must not make the processes drift apart."""
        shared = tensor.clone(memory_format=torch.contiguous_format)
        with exchanging():
            dist.broadcast(shared, self._first, group=self._all)
        return shared

    @property
    def _place(self) -> int:
        """The number of this process's group."""
        return self.rank // self.division.ulysses

    def _tokens_of_group(self, place: int) -> slice:
        return self._tokens_of(place * self.division.ulysses, self.division.ulysses)

    def _tokens_of(self, first: int, processes: int) -> slice:
        ends = (first * self.padded, (first + processes) * self.padded)
        return slice(*(min(end, self.tokens) for end in ends))

    def _exchanged(self, sent: Tensor) -> Tensor:
        """Exchange ``[u, …]``, contiguous, within the group."""
        if self.division.ulysses == 1:
            return sent
        come = torch.empty_like(sent)
        with exchanging():
            dist.all_to_all_single(come, sent, group=self._group)
        return come

    def _pass_on(self, held: Tensor, free: Tensor) -> list[dist.Work]:
        """Begin to send ``held`` to the next group, and to receive the one before's in ``free``."""
        step = self.division.ulysses
        after, before = ((self.rank + by) % self.ranks + self._first for by in (step, -step))
        transfers = [
            dist.P2POp(dist.isend, held, after, group=self._all),
            dist.P2POp(dist.irecv, free, before, group=self._all),
        ]
        with exchanging():
            return dist.batch_isend_irecv(transfers)


def padded(tensor: Tensor, dim: int, size: int) -> Tensor:
    """Return a tensor with zeros at the end of a dimension, up to a size."""
    missing = size - tensor.shape[dim]
    if not missing:
        return tensor
    return F.pad(tensor, [0, 0] * (tensor.ndim - 1 - dim % tensor.ndim) + [0, missing])


def copy(source: Tensor, to: Tensor) -> None:
    """Copy ``[…, d]`` in another order of dimensions, by eight bytes where rows are aligned.

    A GPU moves single elements of two bytes more slowly, by nearly half.
    """
    if all(_is_aligned(it) for it in (source, to)):
        source, to = source.view(torch.int64), to.view(torch.int64)
    to.copy_(source)


def _is_aligned(tensor: Tensor) -> bool:
    """Whether :func:`copy` may view a tensor's rows as integers of eight bytes."""
    places = (*tensor.stride()[:-1], tensor.shape[-1], tensor.storage_offset())
    return tensor.stride(-1) == 1 and not any(it * tensor.itemsize % 8 for it in places)
