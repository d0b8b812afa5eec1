"""Tuned tile shapes of the portable Triton kernel, kept in the cache folder for each GPU.

``python runtime/benchmarks/attention.py --tune`` measures them and writes the file; nothing else
does. A file that is damaged, or from another version, is ignored.
"""

from __future__ import annotations

import json
import logging
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch

from grainspec.regular_file import read_json
from grainspec.whole_file import whole_file
from grainspec_runtime.attention.class_order import BLOCK
from grainspec_runtime.cache.folder import cache_folder

LOG = logging.getLogger("grainspec.attention")

LONG = 8192
"""From this many queries on a GPU is fully occupied, and other shapes are fastest."""


class Tile(NamedTuple):
    """Queries and keys that a program holds at a time, its warps, and its pipeline's stages."""

    queries: int
    keys: int
    warps: int
    stages: int


def key_of(gpu: str, dtype: torch.dtype, width: int, queries: int) -> str:
    """The key of a tile in the file.

    >>> key_of("NVIDIA A100", torch.float16, 64, 16384)
    'NVIDIA A100, float16, 64, long'
    """
    length = "long" if queries >= LONG else "short"
    return f"{gpu}, {str(dtype).removeprefix('torch.')}, {width}, {length}"


def tuned_tile(key: str) -> Tile | None:
    """The tuned tile of a key; None if there is none, or none that the kernel can use."""
    return _tiles(tiles_file()).get(key)


def keep(tiles: dict[str, Tile]) -> Path:
    """Add tiles to the file, and return its path."""
    path = tiles_file()
    all_tiles = _tiles(path) | tiles
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(all_tiles, indent=1) + "\n")
    _tiles.cache_clear()
    return path


def tiles_file() -> Path:
    """``attention-tiles.json`` in the cache folder."""
    return cache_folder() / "attention-tiles.json"


@cache
def _tiles(path: Path) -> dict[str, Tile]:
    try:
        entries = read_json(path, most=1 << 20, bounded=True)
        tiles = {str(key): Tile(*value) for key, value in entries.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        LOG.debug("%s is ignored: %s", path, error)
        return {}
    return {key: tile for key, tile in tiles.items() if _usable(tile)}


def _usable(tile: Tile) -> bool:
    """Whether the kernel compiles with it: powers of two, and a divisor of a class's block."""
    return (
        all(isinstance(number, int) and number > 0 for number in tile)
        and all(number & (number - 1) == 0 for number in tile[:3])
        and 16 <= tile.queries <= BLOCK
        and 16 <= tile.keys <= 256
        and tile.warps <= 16
        and tile.stages <= 5
    )
