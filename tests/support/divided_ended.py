"""A program whose second process ends: the first one exchanges data with it.

Prints a line of JSON with the code of the error that ends each exchange.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable

import torch
import torch.distributed as dist

from grainspec import GrainError
from grainspec_runtime.modulation.part import Division, Part
from grainspec_runtime.ranks import Ranks


def code_of(exchange: Callable[[], object]) -> str:
    try:
        exchange()
    except GrainError as error:
        return error.diagnostics[0].code
    return "none"


def codes() -> list[str]:
    ulysses, ring = Part(Division(2, 1)), Part(Division(1, 2))
    ulysses.tokens = ring.tokens = 2
    one = torch.zeros(1, 2, 1, 8)
    ranks = Ranks.of_group(divides_windows=True)
    exchanges: tuple[Callable[[], object], ...] = (
        lambda: ranks.agree(1),
        lambda: list(ranks.gathered([one], [one.shape] * 2, one)),
        lambda: ulysses.gathered(one, 2),
        lambda: ulysses.heads_divided(one, one, one),
        lambda: ulysses.same(one),
        lambda: list(ring.around(torch.stack([one, one]))),
    )
    return [code_of(exchange) for exchange in exchanges]


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rank = 0 if (child := os.fork()) else 1
        meeting = f"file://{folder}/meeting"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
        dist.barrier()
        if rank:
            os._exit(0)
        os.waitpid(child, 0)
        print(json.dumps(codes()))
