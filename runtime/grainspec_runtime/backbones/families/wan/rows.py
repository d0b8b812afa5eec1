"""Divide the decoder of Wan's VAE between processes: each decodes some rows of the clip's frames.

Only its convolutions and the attention in its middle see more than one place. A convolution reads
one row beyond those of its process on either side, which the processes exchange; attention, at the
resolution of latents, has whole frames in every process. So time and activations are divided, and
the frames are those of one process to rounding: kernels may round differently for other heights.
Fang et al. (arXiv 2411.01738, *Parallel VAE*) divide decoders in this way.

The encoder is not divided: the steps of an edit begin with its latents, and add to every difference
of rounding.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl_wan import WanAttentionBlock
from torch import Tensor, nn

from grainspec_runtime.ranks import from_all


def divide_rows(decoder: nn.Module) -> None:
    """Divide the rows of all that the decoder of a VAE decodes from now on.

    The processes are those of torch.distributed: all of them have to call it with the same latents,
    and get the whole output. Latents, or tiles, of fewer rows than processes are not divided. Its
    calls raise GrainError (G755) if another process has ended. Raises ValueError for convolutions
    that read more than the next row.
    """
    rows = Rows()
    decoder.register_forward_pre_hook(rows.begin)
    decoder.register_forward_hook(rows.end)
    for module in decoder.modules():
        if isinstance(module, WanAttentionBlock):
            module.register_forward_pre_hook(rows.gather)
            module.register_forward_hook(rows.keep_own)
        elif isinstance(module, nn.Conv2d | nn.Conv3d) and module.kernel_size[-2] > 1:
            if module.kernel_size[-2] != 3:
                raise ValueError(f"rows cannot be divided for kernels of {module.kernel_size}")
            module.register_forward_pre_hook(rows.add_edges)
            module.register_forward_hook(rows.remove_edges)


class Rows:
    """The rows that this process has of what runs through a decoder.

    Its methods are hooks, of the decoder and of the modules inside it.
    """

    def __init__(self) -> None:
        self._rank, self._ranks = dist.get_rank(), dist.get_world_size()
        self._latents = 0
        """Rows of latents that are divided; 0 if they are not."""

    def begin(self, decoder: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Keep this process's rows of the latents."""
        rows = args[0].shape[-2]
        self._latents = rows if rows >= self._ranks else 0
        return (self.keep_own(decoder, args, args[0]), *args[1:])

    def end(self, decoder: nn.Module, args: Any, output: Tensor) -> Tensor:
        """Return all rows of the frames."""
        return self._whole(output)

    def gather(self, module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        """Give a module all rows."""
        return (self._whole(args[0]),)

    def keep_own(self, module: nn.Module, args: Any, output: Tensor) -> Tensor:
        """Keep this process's rows of a module's output."""
        if not self._latents:
            return output
        unit = output.shape[-2] // self._latents
        start, stop = (unit * end for end in self._ends[self._rank :][:2])
        return output[..., start:stop, :]

    def add_edges(self, module: nn.Module, args: tuple[Tensor | None, ...]) -> tuple[Any, ...]:
        """Give a convolution the next rows above and below: of its input, and of frames before."""
        if not self._latents:
            return args
        given = [it for it in args if it is not None]
        return (*self._with_edges(given), *[None] * (len(args) - len(given)))

    def remove_edges(self, module: nn.Module, args: Any, output: Tensor) -> Tensor:
        """Remove what is computed for these rows."""
        if not self._latents:
            return output
        start = int(self._rank > 0)
        stop = output.shape[-2] - int(self._rank < self._ranks - 1)
        return output[..., start:stop, :]

    @property
    def _ends(self) -> list[int]:
        """The first row of latents of each process, and the number of them."""
        return [self._latents * rank // self._ranks for rank in range(self._ranks + 1)]

    def _whole(self, own: Tensor) -> Tensor:
        if not self._latents:
            return own
        latents = [stop - start for start, stop in pairwise(self._ends)]
        unit = own.shape[-2] // latents[self._rank]
        missing = unit * max(latents) - own.shape[-2]
        parts = from_all(F.pad(own, (0, 0, 0, missing)))
        return torch.cat(
            [part[..., : unit * rows, :] for part, rows in zip(parts, latents, strict=True)], dim=-2
        )

    def _with_edges(self, own: list[Tensor]) -> list[Tensor]:
        """Return this process's rows of each between the nearest ones of its neighbours."""
        edges = [torch.stack([it[..., :1, :], it[..., -1:, :]]) for it in own]
        sizes = [it[0].numel() for it in edges]
        sent = torch.cat([it.flatten(1) for it in edges], dim=1)
        come = [part.split(sizes, dim=1) for part in from_all(sent)]
        found = []
        for number, (rows, edge) in enumerate(zip(own, edges, strict=True)):
            around = [rows]
            if self._rank > 0:
                around.insert(0, come[self._rank - 1][number][1].view_as(edge[1]))
            if self._rank < self._ranks - 1:
                around.append(come[self._rank + 1][number][0].view_as(edge[0]))
            found.append(torch.cat(around, dim=-2))
        return found
