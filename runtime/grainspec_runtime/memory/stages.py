"""What is in memory at each stage of a run: weights and activations. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from grainspec_runtime.backbones.family import MemoryEstimates
from grainspec_runtime.models.options import Offload

Stage = Literal["text", "denoiser", "vae"]
"""Which network works: a text encoder, the denoiser, or the VAE."""


def weights_at(stage: Stage, memory: MemoryEstimates, offload: Offload | None) -> int:
    """Return the bytes of the weights that are on the device at a stage."""
    sizes = memory.weights()
    if offload is None:
        gone = () if stage == "text" else memory.released
        return sum(size for part, size in sizes.items() if part not in gone)
    if offload == "sequential":
        return 0
    if stage == "vae":
        return sizes["vae"]
    if stage == "denoiser":
        return memory.denoiser_group() if offload == "group" else memory.denoiser_weights()
    return max((size for part, size in sizes.items() if part.startswith("text")), default=0)


def largest_stage(
    memory: MemoryEstimates, offload: Offload | None, active: Mapping[str, float]
) -> dict[str, int]:
    """Return the bytes of weights and activations at the stage with the most of both.

    ``active`` are the bytes of activations by stage; those of a stage that it lacks are few.
    """
    stages = [
        {"weights": weights_at(stage, memory, offload), "activations": int(active.get(stage, 0))}
        for stage in get_args(Stage)
    ]
    return max(stages, key=lambda parts: sum(parts.values()))
