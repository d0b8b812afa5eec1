"""The latent tokens of a plan, worked out a second time with no function of the compiler.

The compiler packs the regions of a pixel into bits and counts them with cumulative operators. Here,
each region is a mask of its own, and the pixels of all cells are counted by one product of
matrices: ``rows [h, H] @ mask [H, W] @ columns [W, w]``, in which a row of ``rows`` has ones at the
pixels of a cell. Shapes: F frames, G latent frames, h x w latent tokens of a level, E edits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from grainspec.model.spec import Edit, Free
from grainspec.regions.layout import Layout, Mask
from grainspec.testing.case import Case

Grid = tuple[int, int]
"""Rows and columns of latent tokens."""

Counts = npt.NDArray[np.int64]
Members = npt.NDArray[np.bool_]
"""bool ``[G, h, w, E]``: the edits that every latent token belongs to."""


def latent_frames(count: int, per_latent: int, first: int = 1) -> list[list[int]]:
    """The frames of each latent frame: the ``first`` ones, then ``per_latent`` at a time.

    >>> latent_frames(6, 2), latent_frames(5, 2, first=3)
    ([[0], [1, 2], [3, 4], [5]], [[0, 1, 2], [3, 4]])
    """
    groups: list[list[int]] = [[]]
    for frame in range(count):
        if len(groups[-1]) == (first if len(groups) == 1 else per_latent):
            groups.append([])
        groups[-1].append(frame)
    return groups


def groups_of(case: Case) -> list[list[int]]:
    """The frames of each latent frame of a case."""
    backbone = case.backbone
    frames = len(case.layout.bits_FHW)
    return latent_frames(frames, backbone.frames_per_latent, backbone.first_frames)


def level_grids(case: Case) -> list[Grid]:
    """The grid of every level: one token a patch, then half of it each time, rounded up."""
    _, height, width = case.layout.bits_FHW.shape
    side = case.backbone.pixels_per_latent * case.backbone.patch
    return [
        (-(-(height // side) // 2**level), -(-(width // side) // 2**level))
        for level in range(case.backbone.level_count)
    ]


def latent_grid(case: Case) -> Grid:
    """Rows and columns of latent pixels."""
    _, height, width = case.layout.bits_FHW.shape
    side = case.backbone.pixels_per_latent
    return height // side, width // side


def by_latents(case: Case, tokens_GHW: Mask) -> Mask:
    """What is true of the latent tokens of level 0, for each of their latent pixels."""
    patch = np.ones((1, case.backbone.patch, case.backbone.patch), np.bool_)
    return np.kron(tokens_GHW, patch)


def frames_in_scope(scope: str, frame: int, count: int) -> list[int]:
    """The latent frames that a latent frame attends to."""
    return {
        "each": [frame],
        "first_last": [0, count - 1],
        "sparse_causal": [0, max(0, frame - 1)],
        "full": [*range(count)],
    }[scope]


def taken_by_parts(claims: Iterable[Edit | Free]) -> dict[str, set[str]]:
    """For every part, the edits that lose to it the pixels and latent tokens that both have.

    These are all edits that are not parts, and the parts that it is a part of.
    """
    claims = list(claims)
    owners = {claim.region: claim.owner for claim in claims}
    parts = {claim.region for claim in claims if claim.grain == "part"}
    taken = {}
    for part in parts:
        above: list[str] = []
        owner = owners[part]
        while owner is not None and owner not in above:
            above.append(owner)
            owner = owners.get(owner)
        taken[part] = (owners.keys() - parts | (owners.keys() & set(above))) - {part}
    return taken


def pixel_counts(mask_FHW: Mask, groups: Sequence[Sequence[int]], grid: Grid) -> Counts:
    """How many pixels of every latent token are set, ``[G, h, w]``."""
    rows, columns = (_cells(*side) for side in zip(mask_FHW.shape[1:], grid, strict=True))
    per_frame = rows @ mask_FHW.astype(np.float32) @ columns.T
    sums = [per_frame[list(group)].sum(axis=0) for group in groups]
    return np.stack(sums).round().astype(np.int64)


def pixel_totals(size: tuple[int, int], groups: Sequence[Sequence[int]], grid: Grid) -> Counts:
    """How many pixels every latent token stands for, ``[G, h, w]``; ``size`` is height, width."""
    rows, columns = (_cells(*side).sum(axis=1) for side in zip(size, grid, strict=True))
    frames = np.array([len(group) for group in groups])
    return (frames[:, None, None] * np.outer(rows, columns)).astype(np.int64)


def centres(mask_FHW: Mask, groups: Sequence[Sequence[int]], grid: Grid) -> Mask:
    """Whether the pixel at the centre of every latent token is set, ``[G, h, w]``.

    It is on the frame in the middle of the latent frame, the later one of two.
    """
    middle = [group[len(group) // 2] for group in groups]
    y, x = (
        [(2 * cell + 1) * extent // (2 * cells) for cell in range(cells)]
        for extent, cells in zip(mask_FHW.shape[1:], grid, strict=True)
    )
    return mask_FHW[np.ix_(middle, y, x)]


def corners(mask_FHW: Mask, groups: Sequence[Sequence[int]], grid: Grid, finest: Grid) -> Mask:
    """Whether the pixel at the top left corner of every latent token is set, ``[G, h, w]``.

    The token's corner is a token of the finest grid, and that one's corner is the pixel. It is on
    the frame in the middle, as in :func:`centres`.
    """
    middle = [group[len(group) // 2] for group in groups]
    y, x = (
        [cell * fine // cells * extent // fine for cell in range(cells)]
        for extent, cells, fine in zip(mask_FHW.shape[1:], grid, finest, strict=True)
    )
    return mask_FHW[np.ix_(middle, y, x)]


def members_by_pixels(case: Case) -> tuple[Members, ...]:
    """The edits of every latent token at every level, by the layout's pixels and the rule."""
    return _members(
        case.layout,
        tuple(case.spec.claims),
        case.spec.modulation.resize,
        case.spec.modulation.threshold,
        tuple(tuple(group) for group in groups_of(case)),
        tuple(level_grids(case)),
    )


@lru_cache(maxsize=4)
def _members(
    layout: Layout,
    claims: tuple[Edit | Free, ...],
    rule: str,
    threshold: float,
    groups: tuple[tuple[int, ...], ...],
    grids: tuple[Grid, ...],
) -> tuple[Members, ...]:
    size = layout.bits_FHW.shape[1:]
    whole = [np.zeros((len(groups), *grid, len(claims)), np.bool_) for grid in grids]
    for index, claim in enumerate(claims):
        mask = layout.mask(claim.region)
        for members, grid in zip(whole, grids, strict=True):
            if rule == "nearest":
                members[..., index] = centres(mask, groups, grid)
                continue
            if rule == "corner":
                members[..., index] = corners(mask, groups, grid, grids[0])
                continue
            counts = pixel_counts(mask, groups, grid)
            totals = pixel_totals((size[0], size[1]), groups, grid)
            enough = counts >= threshold * totals * (1 - 1e-9) if rule == "area" else counts > 0
            members[..., index] = enough
    place = {claim.region: index for index, claim in enumerate(claims)}
    left = [members.copy() for members in whole]
    for part, losers in taken_by_parts(claims).items():
        for members, remaining in zip(whole, left, strict=True):
            for loser in losers:
                remaining[..., place[loser]] &= ~members[..., place[part]]
    return tuple(left)


@lru_cache(maxsize=64)
def _cells(extent: int, cells: int) -> npt.NDArray[np.float32]:
    """float32 ``[cells, extent]``: ones at the pixels of each cell."""
    matrix = np.zeros((cells, extent), np.float32)
    for cell in range(cells):
        matrix[cell, cell * extent // cells : (cell + 1) * extent // cells] = 1
    return matrix
