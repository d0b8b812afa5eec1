"""Tile shapes found by trying, kept in the cache folder for each GPU.

Nothing is tried unasked: ``python runtime/benchmarks/attention.py --tune`` writes the file, and the
portable kernel reads it. A file that is damaged, or from another version, counts as none.
"""

from __future__ import annotations

import json
import logging
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch

from grainspec.whole_file import whole_file
from grainspec_runtime.attention.class_order import BLOCK
from grainspec_runtime.cache.folder import cache_folder

LOG = logging.getLogger("grainspec.attention")

LONG = 8192
"""Queries from which on a GPU is full, and other shapes are best."""


class Tile(NamedTuple):
    """What a program holds at a time, its warps and its pipeline's stages."""

    queries: int
    keys: int
    warps: int
    stages: int


def key_of(gpu: str, dtype: torch.dtype, width: int, queries: int) -> str:
    """Under what a tile is kept.

    >>> key_of("NVIDIA A100", torch.float16, 64, 16384)
    'NVIDIA A100, float16, 64, long'
    """
    length = "long" if queries >= LONG else "short"
    return f"{gpu}, {str(dtype).removeprefix('torch.')}, {width}, {length}"


def tuned_tile(key: str) -> Tile | None:
    """What was found for it; None if nothing was, or nothing usable."""
    return _tiles(tiles_file()).get(key)


def keep(tiles: dict[str, Tile]) -> Path:
    """Add to what is kept, and say where."""
    path = tiles_file()
    every = _tiles(path) | tiles
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as beside:
        beside.write_text(json.dumps(every, indent=1) + "\n")
    _tiles.cache_clear()
    return path


def tiles_file() -> Path:
    """``attention-tiles.json`` in the cache folder."""
    return cache_folder() / "attention-tiles.json"


@cache
def _tiles(path: Path) -> dict[str, Tile]:
    try:
        found = json.loads(path.read_text())
        tiles = {str(key): Tile(*value) for key, value in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        LOG.debug("%s is not used: %s", path, error)
        return {}
    return {key: tile for key, tile in tiles.items() if _usable(tile)}


def _usable(tile: Tile) -> bool:
    """Whether the kernel can be built with it: powers of two, and a divisor of a class's block."""
    return (
        all(isinstance(number, int) and number > 0 for number in tile)
        and all(number & (number - 1) == 0 for number in tile[:3])
        and 16 <= tile.queries <= BLOCK
        and 16 <= tile.keys <= 256
        and tile.warps <= 16
        and tile.stages <= 5
    )
