"""A program that compares what the VAE of a checkpoint does in 2, 3 and 8 processes and in one.

    python divided_vae.py MODEL…

Prints a line of JSON for each process and model, with the VAE whole and in tiles: whether the
latents of a clip are the same, the largest difference of a pixel that is decoded from them, and how
many rows of latents were decoded here at once.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from forked import in_forks
from torch import Tensor

from grainspec_runtime.backbones.registry import load_checkpoint
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.models.options import LoadOptions, Parallel

FRAMES, ROWS, COLUMNS = 9, 7, 6
"""Of the clip; rows and columns are of latents."""
TILE, STEP = 6, 4
"""Side of a tile, and from one to the next, in latents."""


class Seen(NamedTuple):
    """What a VAE made of the clip."""

    latents: Tensor
    frames: Frames
    rows: int


def seen(model: Path, how: Parallel | None, *, tiles: bool) -> Seen:
    """Encode and decode a clip."""
    checkpoint: Any = load_checkpoint(str(model), Path(), LoadOptions(device="cpu", parallel=how))
    unit, vae = checkpoint.memory.pixels_per_latent, checkpoint.pipe.vae
    if tiles:
        vae.enable_tiling(*[TILE * unit] * 2, *[STEP * unit] * 2)
    rows: list[int] = []
    vae.decoder.conv_in.register_forward_hook(lambda *it: rows.append(it[-1].shape[-2]))
    clip = np.random.default_rng(0).integers(0, 256, (FRAMES, ROWS * unit, COLUMNS * unit, 3))
    latents = checkpoint.encode_clip(clip.astype(np.uint8))
    drifted = latents + number() / 2  # all have to decode the first one's
    return Seen(latents, checkpoint.decode_clip(drifted), max(rows))


def number() -> int:
    """Return this process's number; 0 if it is alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def compared(cases: dict[tuple[Path, bool], Seen]) -> list[list[float]]:
    found: list[list[float]] = []
    for (model, tiles), one in cases.items():
        here = seen(model, "ring", tiles=tiles)
        apart = int(np.abs(here.frames.astype(int) - one.frames).max())
        found.append([dist.get_rank(), torch.equal(here.latents, one.latents), apart, here.rows])
    return found


def main() -> None:
    cases = {
        (model, tiles): seen(model, None, tiles=tiles)
        for model in map(Path, sys.argv[1:])
        for tiles in (False, True)
    }
    for processes in (2, 3, 8):
        for lines in in_forks(processes, partial(compared, cases)):
            for line in lines:
                print(json.dumps([processes, *line]))


if __name__ == "__main__":
    main()
