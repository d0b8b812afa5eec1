"""A plan worked out a second time from the definitions, with no function of the compiler.

The compiler packs the regions of a pixel into bits and counts them with cumulative operators. Here,
each region is a mask of its own, and the pixels of all cells are counted by one product of
matrices: ``rows [h, H] @ mask [H, W] @ columns [W, w]``, in which a row of ``rows`` has ones at the
pixels of a cell. Shapes: F frames, G latent frames, N latent tokens of a latent frame, E edits.
"""

from __future__ import annotations

from grainspec.testing.case import Case

Grid = tuple[int, int]
"""Rows and columns of latent tokens."""


def latent_frames(count: int, per_latent: int) -> list[list[int]]:
    """The frames of each latent frame: frame 0, then ``per_latent`` at a time.

    >>> latent_frames(6, 2)
    [[0], [1, 2], [3, 4], [5]]
    """
    groups: list[list[int]] = [[0]]
    for frame in range(1, count):
        if len(groups) == 1 or len(groups[-1]) == per_latent:
            groups.append([])
        groups[-1].append(frame)
    return groups


def level_grids(case: Case) -> list[Grid]:
    """The grid of every level: one token a latent pixel, then half of it each time, rounded up."""
    _, height, width = case.layout.bits_FHW.shape
    side = case.backbone.pixels_per_latent
    return [
        (-(-(height // side) // 2**level), -(-(width // side) // 2**level))
        for level in range(case.backbone.level_count)
    ]
