"""Divide a Wan transformer's passes between processes; :mod:`grainspec_runtime.modulation.parts`.

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
from grainspec_runtime.modulation.part import Division
from grainspec_runtime.modulation.parts import Parts


def division_of(
    model: str, heads: set[int], processes: int, how: Parallel, *, is_vace: bool
) -> Division:
    """Return how processes share the attention of transformers with so many heads.

    Raises GrainError (G748) if their tokens cannot be divided, or not in the way ``how``.
    """
    if is_vace:
        message = f"{model} has control blocks (VACE), whose tokens are not divided"
        raise fail("G748", message, "Run it without `--gpus`.")
    if how == "guidance" and processes % 2:
        message = f"{processes} GPUs cannot share the two passes of guidance evenly"
        raise fail("G748", message, "Remove `--parallel guidance`, or write an even `--gpus`.")
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
def divided(transformer: Any, parts: Parts) -> Iterator[None]:
    """Divide a transformer's tokens between the processes of a group inside the block.

    Those that share a pass call it with the same input, and get the whole output. The tokens are
    divided before the first block and gathered after the last one.
    """

    def rope(module: Any, args: Any, rotary: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        parts.now.tokens = rotary[0].shape[1]
        return tuple(parts.now.of(it) for it in rotary)

    def first(module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (parts.now.of(args[0]), *args[1:])

    def timesteps(module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden, words, embedding, *rest = args
        if embedding.ndim == 4:  # one for each token, as in TI2V-5B
            embedding = parts.now.of(embedding)
        return (hidden, words, embedding, *rest)

    def last(module: Any, args: Any, hidden: Tensor) -> Tensor:
        return parts.now.gathered(hidden)

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
