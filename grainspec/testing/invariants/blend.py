"""What may change: the latent pixels of the edits, and none of those that are kept."""

from __future__ import annotations

import numpy as np

from grainspec.regions.layout import Mask
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.expected import (
    by_latents,
    corners,
    groups_of,
    latent_grid,
    level_grids,
    members_by_pixels,
    pixel_counts,
    pixel_totals,
)
from grainspec.testing.invariants.places import at_latent, at_token
from grainspec.testing.invariants.registry import invariant


@invariant("blend")
def blend(case: Case) -> None:
    """A latent pixel may change exactly if edits have at least half of its pixels, or its token.

    Pixels of several edits count once. The token is that of level 0; by `nearest`, edits have it if
    they have the pixel at its centre, by `corner` that at its corner.
    """
    plan, groups, grid = case.plan, groups_of(case), latent_grid(case)
    edited: Mask = np.not_equal(case.layout.bits_FHW, 0)
    counts = pixel_counts(edited, groups, grid)
    totals = pixel_totals(edited.shape[1:], groups, grid)
    tokens = by_latents(case, np.asarray(members_by_pixels(case)[0].any(axis=3)))
    expected = (2 * counts >= totals) | tokens
    for frame, row, column in np.argwhere(plan.edited_FHW != expected)[:1]:
        place = frame, row, column
        may = "may" if plan.edited_FHW[place] else "may not"
        message = f"the latent pixel {may} change"
        message += f": edits have {counts[place]} of its {totals[place]} pixels, and its token is "
        message += f"in {'an' if tokens[place] else 'no'} edit"
        raise at_latent("blend", message, case, frame, row, column)


@invariant("kept")
def kept(case: Case) -> None:
    """No edit has a pixel of a kept region, nor a latent token of which all pixels are kept.

    Its latent pixels may not change. A token of which only some pixels are kept belongs to the
    edits that have the others, by the spec's `resize`, and may change with them. By `corner`, so
    does a token whose corner is outside of it, at a level that does not divide the latents evenly.
    """
    if case.kept is None:
        return
    for name in case.layout.names:
        for frame, row, column in np.argwhere(case.layout.mask(name) & case.kept)[:1]:
            message = f"the edit has the kept pixel {column},{row}"
            raise Broken("kept", message, region=name, frame=case.layout.frames[frame])
    plan, groups = case.plan, groups_of(case)
    for level, grid in zip(plan.levels, level_grids(case), strict=True):
        counts = pixel_counts(case.kept, groups, grid)
        whole = np.asarray(counts == pixel_totals(case.kept.shape[1:], groups, grid))
        if case.spec.modulation.resize == "corner":
            whole &= corners(case.kept, groups, grid, level_grids(case)[0])
        in_edit = whole & plan.members_CE[level.labels_FHW].any(axis=3)
        for frame, row, column in np.argwhere(in_edit)[:1]:
            message = "the token is in an edit, although all its pixels are kept"
            token = int(row) * grid[1] + int(column)
            raise at_token("kept", message, plan, level, frame, token)
        if level.index == 0:
            kept_tokens = by_latents(case, whole)
    for frame, row, column in np.argwhere(kept_tokens & plan.edited_FHW)[:1]:
        message = "the latent pixel may change, although all pixels of its token are kept"
        raise at_latent("kept", message, case, frame, row, column)
