"""Assign latent tokens to regions, by one of four rules.

A latent token stands for a block of pixels: a cell of its grid, on the frames of its group (one
frame, unless a latent frame stands for several). It belongs to a region

    nearest   if the pixel at the block's centre does; of several frames, on the middle one, the
              later of two
    corner    if the pixel at its top left corner does, on the same frame: VideoGrain's code scales
              masks to the latents by nearest neighbours, and from there to each level, and both
              take the first one of a cell. Where a level does not divide the latents evenly, that
              can be a pixel beside the block
    area      if at least a given share of the block's pixels does, up to one part in 10^9
    any       if any of its pixels does, so that small regions are kept
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from grainspec.model.shapes import TokenRule
from grainspec.regions.layout import Bits

POINTS = ("nearest", "corner")
"""The rules that look at one pixel of a block."""

Group = Sequence[int]
"""The indices of the frames that one latent frame stands for."""


def to_tokens(
    bits_FHW: Bits,
    groups: Sequence[Group],
    grids: Sequence[tuple[int, int]],
    rule: TokenRule = "nearest",
    share: float = 0.5,
) -> list[Bits]:
    """The regions of every latent token, as bit sets ``[G, rows, columns]``, for each grid.

    ``groups`` are the frames of each latent frame, ``grids`` the rows and columns of each level,
    the finest first.
    ``share`` is the threshold of the rule ``area``, more than 0.

    >>> bits = np.array([[[1, 0, 0, 0], [0, 0, 2, 2]]], np.uint8)
    >>> for rule in ("nearest", "corner", "area", "any"):
    ...     print(to_tokens(bits, [[0]], [(1, 2)], rule)[0])
    [[[0 2]]]
    [[[1 0]]]
    [[[0 2]]]
    [[[1 2]]]
    """
    _, height, width = bits_FHW.shape
    token_bits = [np.empty((len(groups), *grid), bits_FHW.dtype) for grid in grids]
    for number, group in enumerate(groups):
        block = bits_FHW[list(group)] if len(group) > 1 else bits_FHW[group[0] : group[0] + 1]
        for tokens, grid in zip(token_bits, grids, strict=True):
            y, x = _edges(height, grid[0]), _edges(width, grid[1])
            if rule in POINTS:
                middle = len(group) // 2
                tokens[number] = point_bits(block[middle : middle + 1], grid, grids[0], rule)[0]
            elif rule == "any":
                flat = np.bitwise_or.reduce(block, axis=0)
                rows = np.bitwise_or.reduceat(flat, y, axis=0)
                tokens[number] = np.bitwise_or.reduceat(rows, x, axis=1)
            else:
                tokens[number] = _by_area(block, y, x, share)
    return token_bits


def point_bits(
    bits_FHW: Bits, grid: tuple[int, int], finest: tuple[int, int], rule: TokenRule
) -> Bits:
    """The regions of one pixel of every cell of a grid, by a rule of ``POINTS``.

    ``finest`` is the grid of the finest level. The result is ``[F, rows, columns]``.
    """
    _, height, width = bits_FHW.shape
    if rule == "nearest":
        y, x = _centres(height, grid[0]), _centres(width, grid[1])
    else:  # the corner of a cell of the finest grid, at the corner of the cell
        y, x = (
            _edges(extent, finest[axis])[_edges(finest[axis], grid[axis])]
            for axis, extent in enumerate((height, width))
        )
    return bits_FHW[:, y][:, :, x]


def share_claimed(
    bits_FHW: Bits, groups: Sequence[Group], grid: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """The share of every block's pixels that are in any region, ``[G, rows, columns]``."""
    _, height, width = bits_FHW.shape
    y, x = _edges(height, grid[0]), _edges(width, grid[1])
    shares = np.empty((len(groups), *grid), np.float32)
    for number, group in enumerate(groups):  # one at a time: a clip is large
        counts = sum(_count(bits_FHW[frame] != 0, y, x) for frame in group)
        shares[number] = counts / (_pixels(height, width, y, x) * len(group))
    return shares


def _by_area(block: Bits, y: npt.NDArray[np.intp], x: npt.NDArray[np.intp], share: float) -> Bits:
    _, height, width = block.shape
    needed = share * _pixels(height, width, y, x) * len(block) * (1 - 1e-9)
    token_bits = np.zeros((len(y), len(x)), block.dtype)
    kind = block.dtype.type
    for index in range(int(np.bitwise_or.reduce(block, axis=None)).bit_length()):
        counts = sum(_count((frame >> kind(index)) & kind(1), y, x) for frame in block)
        token_bits |= (counts >= needed).astype(block.dtype) << kind(index)
    return token_bits


def _count(
    mask: npt.NDArray[np.generic], y: npt.NDArray[np.intp], x: npt.NDArray[np.intp]
) -> npt.NDArray[np.int32]:
    """Count the pixels of every cell that are set."""
    tall = np.add.reduceat(mask, y, axis=0, dtype=np.int32)
    return np.asarray(np.add.reduceat(tall, x, axis=1))


def _edges(extent: int, cells: int) -> npt.NDArray[np.intp]:
    """The first pixel of each of ``cells`` cells."""
    return np.arange(cells) * extent // cells


def _centres(extent: int, cells: int) -> npt.NDArray[np.intp]:
    """The pixel at the centre of each of ``cells`` cells."""
    return ((np.arange(cells) + 0.5) * extent / cells).astype(np.intp)


def _pixels(
    height: int, width: int, y: npt.NDArray[np.intp], x: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """The number of pixels of every cell."""
    return np.outer(np.diff(y, append=height), np.diff(x, append=width))
