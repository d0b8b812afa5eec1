"""Divide a Wan transformer's tokens between processes; :mod:`grainspec_runtime.modulation.part`.

Each process runs the whole network on a part of the clip's latent tokens. All that a block computes
for a token by itself (norms, projections, feed-forward) needs nothing of the others; its attention
is :class:`grainspec_runtime.modulation.divided.DividedAttention`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor

from grainspec.diagnostics import fail
from grainspec_runtime.models.options import Parallel
from grainspec_runtime.modulation.part import Division, Part


def division_of(
    model: str, heads: set[int], processes: int, how: Parallel, *, is_vace: bool
) -> Division:
    """Return how processes share the attention of transformers with so many heads.

    Raises GrainError (G748) if their tokens cannot be divided, or not by Ulysses alone.
    """
    if is_vace:
        message = f"{model} has control blocks (VACE), whose tokens are not divided"
        raise fail("G748", message, "Run it without `--gpus`.")
    division = Division.of(processes, heads, how)
    if how == "ulysses" and division.ring > 1:
        number = " and ".join(map(str, sorted(heads)))
        message = (
            f"{model} has {number} attention heads, which {processes} GPUs cannot share evenly"
        )
        cure = "Remove `--parallel ulysses`; keys are then divided, too."
        raise fail("G748", message, cure)
    return division


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
