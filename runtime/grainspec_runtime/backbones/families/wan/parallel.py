"""One clip on several devices: a transformer's tokens divided between processes, by Ulysses.

Jacobs et al., DeepSpeed-Ulysses (arXiv 2309.14509), section 3.1. Of W processes, each runs the
whole network on a part of the clip's latent tokens. All that a block computes for a token by itself
(norms, projections, feed-forward) needs nothing of the others. *Self-attention* does: an all-to-all
gives each process all tokens of H / W heads, another gives its own tokens of all heads back. In
between lies ordinary attention over the clip, with the plan's labels as they are. *Cross-attention*
has all keys, the text's, in every process: it stays divided, with the labels of the part's tokens.

Tokens are padded to a multiple of W where they are divided; attention never sees the padding.

Dimensions: P passes in a call, H heads, h = H / W of them, N tokens of the clip, n of a process, T
text tokens, D width, d head size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from grainspec.diagnostics import fail
from grainspec_runtime.modulation.clip import ClipAttention
from grainspec_runtime.modulation.layers import AttentionLayer


class Part:
    """A process's part of the tokens of a clip, whose number the network tells in every call."""

    def __init__(self, group: Any = None) -> None:
        self.group = group
        self.rank, self.ranks = dist.get_rank(group), dist.get_world_size(group)
        self.tokens = 0

    @property
    def padded(self) -> int:
        """Tokens of a process, n, with padding."""
        return -(-self.tokens // self.ranks)

    @property
    def own(self) -> slice:
        """The tokens of this process, without padding."""
        start = min(self.rank * self.padded, self.tokens)
        return slice(start, min(start + self.padded, self.tokens))

    def of(self, whole: Tensor, dim: int = 1) -> Tensor:
        """Return this process's part of a tensor, with zeros for padding."""
        own = whole.narrow(dim, self.own.start, self.own.stop - self.own.start)
        return _padded(own, dim, self.padded)

    def gathered(self, part_PnD: Tensor) -> Tensor:
        """Return the whole of a tensor ``[P, n, D]`` whose parts are in the processes."""
        parts = [torch.empty_like(part_PnD) for _ in range(self.ranks)]
        dist.all_gather(parts, part_PnD.contiguous(), group=self.group)
        return torch.cat(parts, dim=1)[:, : self.tokens]

    def heads_divided(self, *parts_PHnd: Tensor) -> list[Tensor]:
        """Exchange: from all heads of this process's tokens to h heads of all tokens."""
        stacked = torch.stack(parts_PHnd)  # [3, P, H, n, d]
        sent = stacked.unflatten(2, (self.ranks, -1)).movedim(2, 0)  # [W, 3, P, h, n, d]
        come = self._exchanged(sent).movedim(0, 3)  # [3, P, h, W, n, d]
        return [whole[:, :, : self.tokens] for whole in come.flatten(3, 4).unbind()]

    def tokens_divided(self, whole_PhNd: Tensor) -> Tensor:
        """Exchange: from h heads of all tokens to all heads of this process's tokens."""
        padded = _padded(whole_PhNd, 2, self.ranks * self.padded)
        sent = padded.unflatten(2, (self.ranks, -1)).movedim(2, 0)  # [W, P, h, n, d]
        return self._exchanged(sent).movedim(0, 1).flatten(1, 2)

    def same(self, tensor: Tensor) -> Tensor:
        """Return the first process's tensor: rounding must not make the processes drift apart."""
        shared = tensor.clone(memory_format=torch.contiguous_format)
        dist.broadcast(shared, dist.get_global_rank(self.group, 0) if self.group else 0, self.group)
        return shared

    def _exchanged(self, sent: Tensor) -> Tensor:
        sent = sent.contiguous()
        come = torch.empty_like(sent)
        dist.all_to_all_single(come, sent, group=self.group)
        return come


def _padded(tensor: Tensor, dim: int, size: int) -> Tensor:
    missing = size - tensor.shape[dim]
    if not missing:
        return tensor
    return F.pad(tensor, [0, 0] * (tensor.ndim - 1 - dim % tensor.ndim) + [0, missing])


class UlyssesAttention:
    """The attention of a part of the tokens; ``whole`` is that of the clip. An ``Attention``.

    Self-attention is always computed here: a processor of its own would see this part alone.
    """

    def __init__(self, whole: ClipAttention, part: Part) -> None:
        self.whole, self.part = whole, part

    @property
    def frames(self) -> int:
        """Number of latent frames in the pass."""
        return self.whole.frames

    @property
    def norm(self) -> Literal["each", "clip"]:
        """Scope of group norm statistics."""
        return self.whole.norm

    def begin_step(self, step: int, steps: int, timestep: float) -> None:
        """Prepare for sampling step ``step`` of ``steps`` at a diffusion timestep."""
        self.whole.begin_step(step, steps, timestep)

    def begin_pass(self, index: int, passes: int) -> None:
        """Say which of a step's passes the next call runs."""
        self.whole.begin_pass(index, passes)

    def reaches(self, layer: AttentionLayer) -> bool:
        """Return whether the layer's attention is ever other than its processor's."""
        return layer.kind == "self" or self.whole.reaches(layer)

    def is_plain(self, layer: AttentionLayer) -> bool:
        """Return whether the layer's own processor may compute the next attention."""
        return layer.kind != "self" and self.whole.is_plain(layer)

    def self_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute self-attention of this part's tokens to all; all tensors ``[P, H, n, d]``."""
        q, k, v = self.part.heads_divided(query, key, value)
        if self.whole.is_plain(layer):
            out = F.scaled_dot_product_attention(q, k, v)
        else:
            out = self.whole.self_attention(layer, q, k, v)
        return self.part.tokens_divided(out)

    def cross_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute cross-attention of this part's tokens; query ``[P, H, n, d]``."""
        own = self.part.own
        if own.start == own.stop:
            return torch.zeros_like(query)
        tokens = query[:, :, : own.stop - own.start]
        out = self.whole.cross_attention_of(layer, tokens, key, value, own)
        return _padded(out, 2, self.part.padded)


def check_divisible(heads: int, ranks: int, model: str, *, is_vace: bool) -> None:
    """Raise GrainError (G748) if a transformer's tokens cannot be divided between processes."""
    if is_vace:
        message = f"{model} has control blocks (VACE), whose tokens are not divided"
        raise fail("G748", message, "Run it without `--gpus`.")
    if heads % ranks:
        fitting = next(number for number in range(ranks, 0, -1) if heads % number == 0)
        message = f"{model} has {heads} attention heads, which {ranks} GPUs cannot share evenly"
        raise fail("G748", message, f"Write `--gpus {fitting}`.")


@contextmanager
def divided(transformer: Any, part: Part) -> Iterator[None]:
    """Divide a transformer's tokens between the processes of a group inside the block.

    Each process calls it with the same input, and gets the whole output. The tokens are divided
    before the first block and gathered after the last one.
    """

    def rope(module: Any, args: Any, rotary: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        part.tokens = rotary[0].shape[1]
        return tuple(part.of(it) for it in rotary)

    def first(module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (part.of(args[0]), *args[1:])

    def timesteps(module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden, words, embedding, *rest = args
        if embedding.ndim == 4:  # one for each token, as in TI2V-5B
            embedding = part.of(embedding)
        return (hidden, words, embedding, *rest)

    def last(module: Any, args: Any, hidden: Tensor) -> Tensor:
        return part.gathered(hidden)

    with ExitStack() as stack:
        hooks = [
            transformer.rope.register_forward_hook(rope),
            transformer.blocks[0].register_forward_pre_hook(first),
            *(block.register_forward_pre_hook(timesteps) for block in transformer.blocks),
            transformer.blocks[-1].register_forward_hook(last),
        ]
        for hook in hooks:
            stack.callback(hook.remove)
        yield
